"""References to secrets, and what they stand for. No settings file, log or error ever holds a value."""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass, field

_NAME = r"[a-z0-9][a-z0-9._-]{0,62}"
_PART = r"(?!\.\.?(?:[/#]|$))[A-Za-z0-9_.-]+"
REFERENCE = (
    rf"(?:env:[A-Za-z_][A-Za-z0-9_]*|file:.+|store:{_NAME}"
    rf"|vault:{_PART}(?:/{_PART})+#[A-Za-z0-9_.-]+|vault:{_PART}/(?:creds|static-creds)/{_PART})"
)
"""The grammar: ``vault:MOUNT/PATH#FIELD`` is a field of a KV v2 secret, ``vault:MOUNT/creds/ROLE`` a whole account."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference taken apart.

    ``kind`` is ``env``, ``file``, ``store`` or ``vault``; ``name`` what follows it, of a Vault's secret the path below
    ``mount``. ``field`` is empty for a credential that Vault gives whole, user and password.
    """

    kind: str
    name: str
    mount: str = ""
    field: str = ""

    @property
    def whole(self) -> bool:
        """Whether the user comes with it."""
        return self.kind == "vault" and not self.field

    @property
    def leased(self) -> bool:
        """Whether the account is made for the asking and ends with a lease."""
        return self.whole and self.name.startswith("creds/")


def parse(text: str) -> Reference | None:
    """The parts of a reference; None for what is not one."""
    if not re.fullmatch(REFERENCE, text):
        return None
    kind, _, name = text.partition(":")
    if kind != "vault":
        return Reference(kind, name)
    path, _, member = name.partition("#")
    mount, _, rest = path.partition("/")
    return Reference(kind, rest, mount, member)


@dataclass(frozen=True, slots=True)
class Credential:
    """What the gateway logs in to a resource with.

    ``others`` are users that stand for the same account, as they do when each lease has a user of its own.
    """

    user: str
    password: str = field(default="", repr=False)
    others: Set[str] = field(default=frozenset(), repr=False, compare=False)

    def own(self, user: str) -> bool:
        """Whether a session that acts as ``user`` acts as the gateway's own login."""
        return user == self.user or user in self.others
