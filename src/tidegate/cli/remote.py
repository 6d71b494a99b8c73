"""The running gateway as the command line sees it: its HTTP API and nothing else.

An answer that is a problem (RFC 9457) becomes the error of the tree that it stands for. A token goes only to the
gateway it was issued by: over TLS, or in the clear to this very machine; redirects are not followed.
"""

from __future__ import annotations

import ipaddress
import platform
import ssl
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from tidegate import __version__
from tidegate.errors import AgentError, ConfigError, IntegrityError, LogFailure, Refused, ResourceError, TidegateError

from . import credentials

_TIMEOUT = 30.0
_PAGE = 100
_STANDARD = frozenset({"title", "status", "code", "detail", "hint", "rule"})
"""Members of every problem; others are details of its kind."""


class Gateway:
    """A gateway at ``url``; ``token`` is empty only before one is logged in; ``key`` is an ssh key to sign proofs."""

    def __init__(self, url: str, token: str = "", ca: str = "", key: Path | None = None) -> None:
        import httpx2

        self.url = checked(url)
        self._key = key
        headers = {"User-Agent": _agent(), **({"Authorization": f"Bearer {token}"} if token else {})}
        trust: ssl.SSLContext | bool = _trust(ca) if ca else True
        self._http = httpx2.Client(
            base_url=f"{self.url}/api/v1", headers=headers, verify=trust, timeout=_TIMEOUT, trust_env=False
        )

    def get(self, *path: str, **query: str | int | None) -> Any:
        """GET; path parts are quoted. Raises the error that the answer stands for, ResourceError when there is none."""
        return self._ask("GET", path, query={name: value for name, value in query.items() if value is not None})

    def post(self, *path: str, body: Mapping[str, object] | None = None) -> Any:
        """POST a JSON body; errors as ``get``. When the gateway wants a fresh proof, the person is asked for it."""
        return self._proving(body or {}, lambda given: self._ask("POST", path, body=given))

    def put(self, *path: str, body: Mapping[str, object]) -> Any:
        """PUT a JSON body; errors as ``get``."""
        return self._ask("PUT", path, body=body)

    def form(self, *path: str, fields: Mapping[str, str]) -> Any:
        """POST a form, as OAuth endpoints take; errors as ``get``."""
        return self._ask("POST", path, form=fields)

    def delete(self, *path: str, **query: str) -> Any:
        """DELETE; errors as ``get``. A proof is given as for ``post``."""
        return self._proving({}, lambda body: self._ask("DELETE", path, query=query, body=body or None))

    def _proving(self, body: Mapping[str, object], send: Callable[[Mapping[str, object]], Any]) -> Any:
        """Send ``body`` as it is, and once more with a proof that the person is there, if the gateway asks for one."""
        from . import stepup

        return stepup.proven(lambda proof: send({**body, "proof": proof} if proof else body), self._key)

    def every(self, *path: str, limit: int, **query: str | int | None) -> Iterator[Any]:
        """At most ``limit`` items of a paged list, newest first, page by page."""
        cursor: str | None = None
        while limit > 0:
            page = self.get(*path, limit=min(limit, _PAGE), cursor=cursor, **query)
            yield from page["items"]
            limit -= len(page["items"])
            cursor = page.get("next")
            if not cursor:
                return

    def _ask(
        self,
        method: str,
        path: tuple[str, ...],
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, object] | None = None,
        form: Mapping[str, str] | None = None,
    ) -> Any:
        import httpx2

        try:
            answer = self._http.request(
                method, "/" + "/".join(quote(p, safe="") for p in path), params=query, json=body, data=form
            )
        except httpx2.HTTPError as error:
            raise ResourceError(
                f"The gateway at {self.url} does not answer ({type(error).__name__}).",
                code="gateway.unreachable",
                hint="Is `tidegate serve` running, and is this the address under `api` in tidegate.yaml?",
            ) from None
        if answer.is_success and not answer.content:
            return None
        try:
            value = answer.json()
        except ValueError:
            raise ResourceError(
                f"What answers at {self.url} is not a Tidegate gateway.", code="gateway.unreachable"
            ) from None
        if answer.is_success:
            return value
        raise error_of(answer.status_code, value if isinstance(value, dict) else {})


def connect(key: Path | None = None) -> Gateway:
    """The gateway that this person is logged in to. Raises AgentError when there is no login."""
    stored = credentials.load()
    return Gateway(stored.gateway, stored.token, stored.ca, key)


def checked(url: str) -> str:
    """A base URL without trailing slash. Raises ConfigError for one that would send a token in the clear."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host or parts.path.strip("/") or parts.query or parts.username:
        raise ConfigError("this is not the address of a gateway", path=url, hint="For example http://127.0.0.1:7443")
    if parts.scheme == "http" and not _loopback(host):
        raise ConfigError("a token must not travel unencrypted", path=url, hint="Use https:// and --ca FILE if needed.")
    return url.rstrip("/")


def error_of(status: int, problem: Mapping[str, Any]) -> TidegateError:
    """The error of the tree that a problem stands for."""
    message = str(
        problem.get("detail") or problem.get("error_description") or f"The gateway answered with status {status}."
    )
    code, hint = str(problem.get("code") or "gateway.answer"), str(problem.get("hint") or "")
    if status in (403, 404, 409):
        return Refused(message, rule=str(problem.get("rule") or ""), hint=hint, code=code)
    if status < 500:
        details = {name: value for name, value in problem.items() if name not in _STANDARD}
        return AgentError(message, hint=hint, code=code, details=details)
    if code.startswith(("audit.integrity", "store.")):
        return IntegrityError(message, hint=hint, code=code)
    kind = LogFailure if status == 503 else ResourceError
    return kind(message, hint=hint, code=code)


def _agent() -> str:
    """What this program is, and on which machine: somebody who confirms its login in a browser must recognise it."""
    machine = "".join(char for char in platform.node() if char.isalnum() or char in ".-")
    return f"tidegate/{__version__} ({platform.system() or 'unknown'}; {machine.encode('ascii', 'ignore').decode()})"


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _trust(ca: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError):
        raise ConfigError("this is not a readable PEM certificate", path=ca) from None
