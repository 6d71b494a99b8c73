"""The doctor."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from forge import Signer, key_set
from site_server import Site
from tidegate import __version__
from tidegate.build import BUILD
from tidegate.clock import SystemClock
from tidegate.identity.issuer import Issuer
from tidegate.store.box import Box
from tidegate.store.rows import Store
from tidegate.store.secrets import Safe
from unit.cli.desk import Desk
from vault import Bao

RESOURCE = "\nresources:\n  shop: {protocol: postgres, address: '127.0.0.1:PORT', user: gw, secret: env:DOCTOR_TEST}\n"


def examined(desk: Desk, directory: Path) -> tuple[int, dict[str, Any]]:
    """Exit status, and the checks by name."""
    done = desk.types("doctor", "--config", str(directory / "tidegate.yaml"), "-o", "json")
    return done.status, {check["name"]: check for check in json.loads(done.out)}


@pytest.fixture
def configured(desk: Desk, tmp_path: Path) -> Path:
    """A first configuration with one resource whose port nobody listens on."""
    desk.types("init", str(tmp_path))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = tmp_path / "tidegate.yaml"
    text = config.read_text().split("resources:")[0] + RESOURCE.replace("PORT", str(port))
    config.write_text(text)
    return tmp_path


def test_names_everything_that_is_wrong(desk: Desk, configured: Path) -> None:
    """A missing secret and a silent upstream are both named; what is right is said too."""
    status, checks = examined(desk, configured)
    assert status == 78
    wrong = {name for name, check in checks.items() if not check["ok"]}
    assert wrong == {"shop: secret", "shop: address"}


def test_secret_is_never_shown(desk: Desk, configured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor reads secrets and shows none."""
    monkeypatch.setenv("DOCTOR_TEST", "hunter2")
    _, checks = examined(desk, configured)
    assert checks["shop: secret"]["ok"]
    assert "hunter2" not in json.dumps(checks)


def test_open_data_directory_is_named(desk: Desk, configured: Path) -> None:
    """A data directory that others can look into is an error with the command that mends it."""
    (configured / "data").mkdir(mode=0o755)
    (configured / "data").chmod(0o755)
    _, checks = examined(desk, configured)
    assert (checks["data"]["ok"], "chmod 700" in checks["data"]["hint"]) == (False, True)


def test_says_which_build_runs(desk: Desk, configured: Path) -> None:
    """A compiled build is named as such, and a plain one too."""
    _, checks = examined(desk, configured)
    assert ("hot modules compiled" in checks["build"]["text"]) == (BUILD == "compiled")
    assert __version__ in checks["build"]["text"]


def test_healthy_gateway(desk: Desk, tmp_path: Path) -> None:
    """A fresh configuration has nothing wrong."""
    desk.types("init", str(tmp_path))
    done = desk.types("doctor", "--config", str(tmp_path / "tidegate.yaml"))
    assert (done.status, "error" in done.out) == (0, False)


def test_a_secret_of_the_gateways_own(desk: Desk, configured: Path) -> None:
    """One that is kept opens, another is missing with the command that sets it; nothing is written."""
    config = configured / "tidegate.yaml"
    config.write_text(config.read_text().replace("env:DOCTOR_TEST", "store:shop"))
    _, checks = examined(desk, configured)
    assert (checks["shop: secret"]["ok"], "secret set shop" in checks["shop: secret"]["hint"]) == (False, True)
    assert not (configured / "data").exists()
    keys = configured / "data" / "keys"
    keys.mkdir(parents=True, mode=0o700)
    key = os.urandom(32)
    (keys / "store.key").write_text(key.hex())
    store = Store(configured / "data" / "store.sqlite", Issuer(keys, "example.org", SystemClock()))
    Safe(store, Box(key)).put("shop", "hunter2-hunter2", by="u_1", changed=1, leaf=1)
    _, checks = examined(desk, configured)
    assert (checks["shop: secret"]["ok"], "hunter2" in json.dumps(checks)) == (True, False)
    store.close()


def test_secrets_of_vault(desk: Desk, configured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reference is tried with the gateway's own login there; no account is made; a Vault that is down is named."""
    config = configured / "tidegate.yaml"
    with Bao() as bao:
        for name, value in bao.approle().items():
            monkeypatch.setenv(f"DOCTOR_{name.upper()}", value)
        bao.put("shop", password="hunter2-hunter2")
        auth = "{method: approle, role_id: env:DOCTOR_ROLE_ID, secret_id: env:DOCTOR_SECRET_ID}"
        text = config.read_text() + f"vault: {{address: '{bao.address}', auth: {auth}}}\n"
        found = {}
        for reference in ("vault:secret/shop#password", "vault:secret/none#password", "vault:secret/shop#none"):
            config.write_text(text.replace("env:DOCTOR_TEST", reference))
            found[reference] = examined(desk, configured)[1]["shop: secret"]
        for reference in ("vault:database/creds/shop", "vault:forbidden/creds/shop"):
            config.write_text(text.replace("user: gw, secret: env:DOCTOR_TEST", f"secret: {reference}"))
            found[reference] = examined(desk, configured)[1]["shop: secret"]
    assert [check["ok"] for check in found.values()] == [True, False, False, True, False]
    assert "hunter2" not in json.dumps(found)
    assert "does not answer" in examined(desk, configured)[1]["shop: secret"]["text"]


def test_identity_providers(desk: Desk, configured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that answers with its documents and keys, one that does not, and one whose metadata is missing."""
    monkeypatch.setenv("DOCTOR_TEST", "hunter2")
    with Site() as site:
        names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        document = {name: f"{site.url}/{name}" for name in names}
        site.publish("/.well-known/openid-configuration", {"issuer": site.url, **document})
        site.publish("/jwks_uri", key_set(Signer()))
        config = configured / "tidegate.yaml"
        login = f"""
web: {{url: "http://127.0.0.1:7443"}}
login:
  providers:
    corp: {{kind: oidc, issuer: "{site.url}", client_id: gw, secret: env:DOCTOR_TEST}}
    away: {{kind: oidc, issuer: "http://127.0.0.1:9", client_id: gw}}
    work: {{kind: saml, metadata: idp.xml}}
"""
        config.write_text(config.read_text() + login)
        _, checks = examined(desk, configured)
        assert checks["login at corp"]["ok"]
        assert "signs with: 1" in checks["login at corp"]["text"]
        assert not checks["login at away"]["ok"]
        assert "idp.xml" in checks["login at work"]["text"]
        site.answers["/jwks_uri"] = b"<html>"
        assert not examined(desk, configured)[1]["login at corp"]["ok"]
    assert "hunter2" not in json.dumps(checks)


def test_issuers_of_workloads(desk: Desk, configured: Path) -> None:
    """One whose keys are found by discovery, and ones whose keys are away, absent, of no use, or no keys."""
    with Site() as site:
        keys = site.publish("/keys", key_set(Signer()))
        site.publish("/.well-known/openid-configuration", {"issuer": site.url, "jwks_uri": keys})
        config = configured / "tidegate.yaml"
        entries = {
            "found": f'issuer: "{site.url}"',
            "away": 'issuer: "http://127.0.0.1:9"',
            "absent": 'issuer: "https://a.example", keys: "file:absent.json"',
            "useless": f'issuer: "https://b.example", keys: "{site.publish("/none", {"keys": []})}"',
            "broken": f'issuer: "https://c.example", keys: "{site.publish("/broken", [1])}"',
        }
        section = "".join(f"  {name}: {{{entry}, audience: gw}}\n" for name, entry in entries.items())
        config.write_text(f"{config.read_text()}\nworkloads:\n{section}")
        _, checks = examined(desk, configured)
    assert [checks[f"workloads of {name}"]["ok"] for name in entries] == [True, False, False, False, False]
    assert "signs with 1 keys" in checks["workloads of found"]["text"]
