"""Real identity providers for tests, as processes on loopback, and a browser without a screen that logs in at them.

The OpenID provider is node's `oidc-provider` (certified by the OpenID Foundation), the SAML one is SimpleSAMLphp.
``make test`` installs both: `tests/idp/package.json` below the virtual environment, and Debian's packages.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx2
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from servers import DEADLINE, ServerMissing, end_with_parent, free_port

MODULES = Path(os.environ.get("TIDEGATE_IDP", Path(sys.prefix) / "idp")).resolve()
"""Where `make test` puts the OpenID provider."""

_CLOSE = httpx2.Limits(max_keepalive_connections=0)
_HERE = Path(__file__).parent / "idp"


class OpenIdProvider:
    """An OpenID provider with one client; people in ``people`` come and go while it runs.

    ``callback`` is the client's redirect URI. With ``logout`` the provider tells that address when a login ends.
    """

    def __init__(self, callback: str, *, logout: str = "", conform: bool = False, **client: Any) -> None:
        if not (MODULES / "node_modules" / "oidc-provider").exists():
            raise ServerMissing(f"oidc-provider is not in {MODULES}: make test installs it")
        self._directory = tempfile.TemporaryDirectory(prefix="tidegate-op-")
        self._people = Path(self._directory.name) / "people.json"
        self._port = free_port()
        self.issuer = f"http://127.0.0.1:{self._port}"
        self.client = {
            "client_id": "gw",
            "client_secret": "s3cr3t/+%~:x",
            "redirect_uris": [callback],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            **({"backchannel_logout_uri": logout, "backchannel_logout_session_required": True} if logout else {}),
            **client,
        }
        self._conform = conform
        self._process: subprocess.Popen[str] | None = None
        self.people(alice={"groups": ["admins", "dba"]}, bob={"groups": ["dba"]})

    def people(self, **people: Mapping[str, Any]) -> None:
        """Who there is from now on."""
        fresh = self._people.with_suffix(".new")
        fresh.write_text(json.dumps(people))
        fresh.rename(self._people)

    def __enter__(self) -> Self:
        about = {"issuer": self.issuer, "port": self._port, "file": str(self._people), "clients": [self.client]}
        environment = {**os.environ, "OP": json.dumps({**about, "conform": self._conform}), "OP_MODULES": str(MODULES)}
        with open(Path(self._directory.name) / "log", "wb") as log:
            self._process = subprocess.Popen(
                ["node", "--no-warnings", str(_HERE / "op.mjs")],
                env=environment,
                stdout=log,
                stderr=log,
                text=True,
                preexec_fn=end_with_parent,
            )
        wait_for(f"{self.issuer}/.well-known/openid-configuration", self._process, Path(log.name))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
        self._directory.cleanup()


def wait_for(url: str, process: subprocess.Popen[str], log: Path) -> None:
    """Wait until something answers at ``url``; a process that ends first, or takes too long, is told with its log."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx2.get(url, trust_env=False, timeout=5).status_code == 200:
                return
        except httpx2.HTTPError:
            time.sleep(0.05)
    process.kill()
    raise AssertionError(f"no answer at {url}:\n{log.read_text(errors='replace')[-4000:]}")


class _Form(HTMLParser):
    """The first form of a page: where it goes, and its fields."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self._within = False
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note the form and the inputs in it."""
        given = {name: value or "" for name, value in attributes}
        if tag == "form" and self.action is None:
            self.action, self._within = given.get("action", ""), True
        elif tag in ("input", "button") and self._within and given.get("name"):
            self.fields[given["name"]] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        """What comes after the form is not its."""
        if tag == "form":
            self._within = False


class Browser:
    """Follows redirects and fills in forms with what it knows, until it would go to the gateway.

    Its cookies stay, so that a second visit is that of somebody who is logged in at the provider.
    """

    def __init__(self, **known: str) -> None:
        self._known = known
        self._http = httpx2.Client(trust_env=False, timeout=30, follow_redirects=False, limits=_CLOSE)
        self.asked = 0
        """How many times a password was typed."""

    def visit(self, url: str, stop: str) -> dict[str, str]:
        """Go to ``url``; gives what would be sent to the address ``stop``, from the query or as a form."""
        answer = self._http.get(url)
        for _ in range(20):
            if answer.is_redirect:
                target = urljoin(str(answer.url), answer.headers["location"])
                if _bare(target) == stop:
                    return dict(parse_qsl(urlsplit(target).query, keep_blank_values=True))
                answer = self._http.get(target)
                continue
            form = _Form(answer.text)
            if form.action is None:
                raise AssertionError(f"{answer.status_code} at {answer.url} without a form:\n{answer.text[:2000]}")
            target = urljoin(str(answer.url), form.action)
            if _bare(target) == stop:
                return form.fields
            filled = form.fields | {name: value for name, value in self._known.items() if name in form.fields}
            self.asked += "password" in filled
            answer = self._http.post(target, data=filled)
        raise AssertionError(f"it never ends: {answer.url}")

    def leave(self, issuer: str) -> None:
        """Log out at an OpenID provider, as its own page asks to."""
        form = _Form(self._http.get(f"{issuer}/session/end?client_id=gw").text)
        assert form.action
        self._http.post(form.action, data=form.fields | {"logout": "yes"})

    def get(self, url: str) -> httpx2.Response:
        """One page."""
        return self._http.get(url)

    def post(self, url: str, form: Mapping[str, str]) -> httpx2.Response:
        """One form."""
        return self._http.post(url, data=dict(form))


def _bare(url: str) -> str:
    return url.partition("?")[0].partition("#")[0]


PERSISTENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
_SSP = Path("/usr/share/simplesamlphp/www")


class SamlIdp:
    """SimpleSAMLphp with one client, ``gateway``, whose responses go to ``callback``; its key is in ``directory``."""

    def __init__(self, directory: Path, gateway: str, callback: str, **changes: Any) -> None:
        if not (_SSP / "index.php").exists():
            raise ServerMissing("simplesamlphp is not installed: make test installs it (as root on Debian)")
        self.directory = directory
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.entity_id = f"{self.url}/idp"
        self.metadata = directory / "idp.xml"
        self.key, self.certificate = _pair(directory)
        self._about = {
            "directory": str(directory),
            "people": str(directory / "people.json"),
            "url": self.url,
            "gateway": gateway,
            "callback": callback,
            "admin": os.urandom(8).hex(),
            "format": PERSISTENT,
            "assertion": True,
            "response": True,
            "algorithm": RSA_SHA256,
            **changes,
        }
        self._process: subprocess.Popen[str] | None = None
        self.people(alice={"groups": ["admins", "dba"]}, bob={"groups": ["dba"]})

    def people(self, **people: Mapping[str, Any]) -> None:
        """Who there is from now on."""
        Path(str(self._about["people"])).write_text(json.dumps(people))

    def __enter__(self) -> Self:
        environment = {
            **os.environ,
            "SSP": json.dumps(self._about),
            "SIMPLESAMLPHP_CONFIG_DIR": str(_HERE / "ssp" / "config"),
        }
        quiet = ("-d", "error_reporting=0", "-d", "display_errors=0")
        command = ["php", *quiet, "-S", f"127.0.0.1:{self._port}", "-t", str(_SSP)]
        with open(self.directory / "php.log", "wb") as log:
            self._process = subprocess.Popen(
                command,
                env=environment,
                stdout=log,
                stderr=log,
                text=True,
                preexec_fn=end_with_parent,
            )
        described = f"{self.url}/saml2/idp/metadata.php"
        wait_for(described, self._process, self.directory / "php.log")
        self.metadata.write_bytes(httpx2.get(described, trust_env=False, timeout=30).content)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)


def _pair(directory: Path) -> tuple[bytes, bytes]:
    """An RSA key and its certificate (PEM), as the files that the provider reads."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "idp for tests")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (directory / "idp.key").write_bytes(pem)
    (directory / "idp.crt").write_bytes(certificate)
    return pem, certificate
