"""`tidegate token`: signed, short-lived tokens, each bound to one resource and one grant."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tidegate.errors import AgentError

from . import screen
from .credentials import write_private
from .remote import Gateway, connect

_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
_JWT = "urn:ietf:params:oauth:token-type:jwt"
_LARGEST = 64 * 1024
_UNITS = {"s": 1, "m": 60, "h": 3600}


def create(
    *,
    resource: Annotated[str, Parameter(help="The resource that the token opens, and no other.")],
    agent: Annotated[str, Parameter(help="The agent that will act; a token for a person without it.")] = "",
    for_: Annotated[str, Parameter(name="--for", help="The accountable person; yourself if left out.")] = "",
    ttl: Annotated[str, Parameter(help="How long: 30s, 15m, 8h.")] = "15m",
    reason: Annotated[str, Parameter(help="What it is for; approvers and auditors read it.")] = "",
    out: Annotated[Path | None, Parameter(help="Write a password file (mode 0600) instead of printing.")] = None,
    certificate: Annotated[Path | None, Parameter(help="Write a client certificate in place of a token.")] = None,
    key: Annotated[Path | None, Parameter(help="Write the certificate's private key, made here (mode 0600).")] = None,
    ssh_key: Annotated[Path | None, Parameter(help="Prove that it is you with this ssh key; without --agent.")] = None,
    output: screen.Output = "table",
) -> None:
    """Mint a token and the grant that it needs. Standard output has the token and nothing else.

    With --certificate and --key the agent gets a client certificate instead, which lives and ends as the token would.
    """
    _together(certificate, key, out)
    private, public = key_pair() if key else ("", "")
    body = {"resource": resource, "agent": agent, "person": for_, "ttl": seconds(ttl), "reason": reason}
    answer = connect(ssh_key).post("tokens", body={**body, "public_key": public})
    if output == "json" and not (out or certificate):
        screen.as_json(answer)
    else:
        _hand_over(answer["certificate"] or answer["token"], out, certificate, key, private)
    until = screen.when(answer["expires"] * 1_000_000, time.time_ns() // 1000)
    place = f"; written to {out or certificate}" if out or certificate else ""
    screen.note(f"{answer['title']} may use {resource} until {until}, grant {answer['grant']}{place}")


def listing(*, output: screen.Output = "table", limit: int = 50) -> None:
    """List tokens: your own, or all of them for who observes the gateway. Tokens themselves are never kept."""
    rows = list(connect().every("tokens", limit=limit))
    if output == "json":
        screen.as_json(rows)
        return
    now = time.time_ns() // 1000
    cells = [
        [*screen.dig(row, "id", "title", "resource", "grant", "state"), screen.when(row["expires"] * 1_000_000, now)]
        for row in rows
    ]
    screen.table(("id", "who", "resource", "grant", "state", "until"), cells, empty="No tokens.")


def revoke(
    id: Annotated[str, Parameter(help="Of a token or of a grant; with --issuer the `jti` of one of its tokens.")],
    *,
    issuer: Annotated[str, Parameter(help="Whose token it is, if a workload's: a name in tidegate.yaml.")] = "",
) -> None:
    """End a token or a grant at once, with the sessions it carries."""
    answer = connect().delete("tokens", id, **({"issuer": issuer} if issuer else {}))
    screen.note(f"Revoked {id}; {answer['tokens']} token(s) no longer open anything.")


def exchange(
    *,
    resource: Annotated[str, Parameter(help="The resource that the token opens, and no other.")],
    token_file: Annotated[Path, Parameter(help="The workload's own token, as its platform writes it.")],
    for_file: Annotated[Path | None, Parameter(help="The token of whom it acts for; nobody without it.")] = None,
    gateway: Annotated[str, Parameter(help="Address of the gateway's API.")] = "http://127.0.0.1:7443",
    ca: Annotated[str, Parameter(help="PEM certificate to trust for https.")] = "",
    reason: Annotated[str, Parameter(help="What it is for; approvers and auditors read it.")] = "",
    out: Annotated[Path | None, Parameter(help="Write a password file (mode 0600) instead of printing.")] = None,
    certificate: Annotated[Path | None, Parameter(help="Write a client certificate in place of a token.")] = None,
    key: Annotated[Path | None, Parameter(help="Write the certificate's private key, made here (mode 0600).")] = None,
) -> None:
    """Exchange a workload's own token for a short token of one resource (RFC 8693). Needs no login.

    Run again before it ends, it renews what it wrote.
    """
    _together(certificate, key, out)
    private, public = key_pair() if key else ("", "")
    own, subject = _read(token_file), _read(for_file) if for_file else ""
    form = {"subject_token": subject or own, "actor_token": own if subject else "", "audience": resource}
    kinds = {f"{name}_type": _JWT for name in ("subject_token", "actor_token") if form[name]}
    asked = {**form, **kinds, "grant_type": _EXCHANGE, "reason": reason, "public_key": public}
    answer = Gateway(gateway, ca=ca).form("oauth", "token", fields={k: v for k, v in asked.items() if v})
    _hand_over(answer["access_token"], out, certificate, key, private)


def _together(certificate: Path | None, key: Path | None, out: Path | None) -> None:
    if (certificate is None) != (key is None) or (certificate and out):
        raise AgentError(
            "--certificate and --key belong together, and take the place of --out", code="request.certificate"
        )


def _hand_over(given: str, out: Path | None, certificate: Path | None, key: Path | None, private: str) -> None:
    """Write a token or certificate where it was wanted, or print the token."""
    if certificate is not None and key is not None:
        write_private(key, private)
        write_private(certificate, given)
    elif out is not None:
        # HOST:PORT:DATABASE:USER:PASSWORD, as password files have it; a token has no character to escape.
        write_private(out, f"*:*:*:*:{given}\n")
    else:
        print(given)


def _read(path: Path) -> str:
    with path.open() as file:
        return file.read(_LARGEST).strip()


def key_pair() -> tuple[str, str]:
    """A fresh private key and its public half, in PEM; the curve is one that every TLS library knows."""
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    public = key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


def seconds(text: str) -> int:
    """A duration such as ``15m`` in seconds. Raises AgentError when it is none."""
    match = re.fullmatch(r"([1-9][0-9]{0,6})([smh])", text)
    if match is None:
        raise AgentError(f"{text!r} is not a duration", code="request.duration", hint="Write 30s, 15m or 8h.")
    return int(match[1]) * _UNITS[match[2]]
