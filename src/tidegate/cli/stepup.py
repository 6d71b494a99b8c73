"""Proving once more that one is there, when the gateway asks for it: once, for every command.

The command is sent as it is; if the gateway wants a proof, the person is asked on the terminal, and it is sent again
with their answer. An ssh key is used if one is named, a password of a file for programs; else the password is typed,
and with nothing typed, or no terminal, it is done in a browser while the command waits.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from cyclopts import Parameter

from tidegate.errors import AgentError, ConfigError
from tidegate.web.shown import safe

from . import screen, typed

T = TypeVar("T")
Proof = Mapping[str, str]

Key = Annotated[
    Path | None, Parameter(name="--key", help="Sign with this ssh key; without it you are asked for a password.")
]
"""The option of commands that people sign with an ssh key."""

KEY = "TIDEGATE_SSH_KEY"
"""Variable with the path of an ssh key to sign with, for commands without the option."""

TRIES = 3
EVERY = 2.0
"""Most passwords that are typed for one command, and seconds between two looks at whether a browser is done."""


def proven(send: Callable[[Proof], T], key: Path | None = None) -> T:
    """What ``send`` gives, which is called with a proof once the gateway has asked for one. Raises what it raises."""
    try:
        return send({})
    except AgentError as error:
        if error.code != "stepup.required" or not error.details.get("challenge"):
            raise
        asked = error.details
    return _answered(send, asked, key or _named_key())


def _answered(send: Callable[[Proof], T], asked: Mapping[str, Any], key: Path | None) -> T:
    for left in range(TRIES, 0, -1):
        proof, again = _proof(asked, key)
        if proof is None:
            return _by_browser(send, asked)
        try:
            return send(proof)
        except AgentError as error:
            if error.code != "stepup.wrong" or not again or left == 1:
                raise
            screen.note(f"tidegate: {error.message}; once more.")
            asked = error.details
    raise AssertionError("unreachable")


def _proof(asked: Mapping[str, Any], key: Path | None) -> tuple[Proof | None, bool]:
    """A proof, and whether another could be typed; None when it is to be done in a browser."""
    methods = asked.get("methods", ())
    if key is not None:
        if "ssh" not in methods:
            raise AgentError(
                "you have enrolled no ssh key", hint=f"tidegate credentials add ssh {key}.pub", code="stepup.required"
            )
        challenge, text = str(asked["challenge"]), str(asked["sign"])
        return {"method": "ssh", "challenge": challenge, "signature": sign(key, text)}, False
    if "password" not in methods:
        return None, False
    kept = typed.kept(None)
    if kept is None and not typed.there():
        return None, False
    if kept is None:
        screen.note(f"Prove that it is you, to {asked.get('action', 'go on')}.")
    password = kept if kept is not None else typed.secret("Password (nothing: in a browser)")
    if not password:
        return None, False
    otp = typed.secret("One-time password") if asked.get("otp") else ""
    return {"method": "password", "password": password, "otp": otp}, kept is None


def _by_browser(send: Callable[[Proof], T], asked: Mapping[str, Any]) -> T:
    """Wait until the person has been through the page. Raises AgentError ``stepup.waiting`` when it takes too long."""
    url, end = safe(str(asked["url"])), time.monotonic() + float(asked["seconds"])
    screen.note(f"To {asked.get('action', 'go on')}, open {url}")
    with screen.waiting("waiting for the browser"):
        while True:
            try:
                return send({"method": "browser", "challenge": str(asked["challenge"])})
            except AgentError as error:
                if error.code != "stepup.waiting" or time.monotonic() >= end:
                    raise
            time.sleep(EVERY)


def sign(key: Path, text: str) -> str:
    """The signature of an ssh key over ``text``, by ssh-keygen, which asks for the key's passphrase itself.

    Raises ConfigError when it cannot be made.
    """
    command = ["ssh-keygen", "-q", "-Y", "sign", "-n", "tidegate", "-f", str(key)]
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise ConfigError("ssh-keygen is not installed", path="ssh-keygen", hint="Install OpenSSH.") from None
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise ConfigError(f"ssh-keygen cannot sign: {said[-1] if said else done.returncode}", path=str(key))
    return done.stdout


def _named_key() -> Path | None:
    written = os.environ.get(KEY, "")
    return Path(written) if written else None
