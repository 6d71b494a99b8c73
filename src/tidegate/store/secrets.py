"""The gateway's own secrets: sealed in the store, opened for one use, never listed with their values.

A value is bound to its name, so that one secret cannot be put in another's place. Methods block: call them outside the
event loop; any thread may.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tidegate.errors import ConfigError, IntegrityError

from .box import Box
from .rows import SecretRow, Store

LONGEST = 16 * 1024
"""Characters of a value."""


class Safe:
    """Over one store; what it writes is authorised by the caller's leaf."""

    def __init__(self, store: Store, box: Box) -> None:
        self._store = store
        self._box = box

    def put(self, name: str, value: str, *, by: str, changed: int, leaf: int) -> SecretRow:
        """Keep a value, new or in place of another. ``changed`` in Unix microseconds."""
        row = SecretRow(name, self._box.seal(value.encode(), _about(name)), by, changed, leaf)
        self._store.put_secret(row)
        return row

    def value(self, name: str) -> str:
        """The value. Raises ConfigError ``secret.missing``, IntegrityError ``store.forged``."""
        row = self._store.secret(name)
        if row is None:
            raise missing(name)
        return self._box.open(row.sealed, _about(name)).decode()

    def remove(self, name: str) -> None:
        """Forget a secret; what refers to it fails from now on."""
        self._store.drop_secret(name)

    def find(self, name: str) -> SecretRow | None:
        """What is known about one, but its value."""
        return self._store.secret(name)

    def listing(self) -> list[SecretRow]:
        """What is known about each, by name."""
        return self._store.secrets()


def look(path: Path, box: Box, name: str) -> None:
    """Make sure that the store at ``path`` keeps it and that it opens. Raises ConfigError, IntegrityError.

    For checks from outside, which change nothing: a running gateway verifies the row's signature as well.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            row = connection.execute("SELECT sealed FROM secrets WHERE name = ?", (name,)).fetchone()
    except sqlite3.Error:
        row = None
    if row is None:
        raise missing(name)
    if not isinstance(row[0], bytes):
        raise IntegrityError("a row of the store's table secrets is damaged", code="store.forged")
    box.open(row[0], _about(name))


def missing(name: str) -> ConfigError:
    """The error for a secret that is not there."""
    return ConfigError(
        f"the secret store:{name} is not there", hint=f"Set it: tidegate secret set {name}", code="secret.missing"
    )


def _about(name: str) -> str:
    return f"secret:{name}"
