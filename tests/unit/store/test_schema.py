"""Opening the database file."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from tidegate.errors import ConfigError
from tidegate.identity.issuer import Issuer
from tidegate.model.identity import Hop, Kind
from tidegate.store.rows import GrantRow, Store
from tidegate.store.schema import VERSION


def refused(path: Path, signer: Issuer) -> str:
    """The code with which a file is refused."""
    with pytest.raises(ConfigError) as caught:
        Store(path, signer)
    return caught.value.code


def change(path: Path, statement: str) -> None:
    """Do something to the file behind the store's back."""
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()


def test_the_files_are_the_owners(store: Store, tmp_path: Path) -> None:
    """Database, WAL and shared memory can be read by nobody else."""
    store.put_identity(Hop("u_1", "alice", Kind.USER), leaf=1)
    files = list(tmp_path.glob("store.db*"))
    assert len(files) == 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_rows_survive(store: Store, tmp_path: Path, signer: Issuer) -> None:
    """What one process wrote the next one reads."""
    store.put_identity(Hop("u_1", "alice", Kind.USER), leaf=1)
    store.close()
    assert Store(tmp_path / "store.db", signer).identity("u_1")


def test_a_newer_schema_is_not_touched(store: Store, tmp_path: Path, signer: Issuer) -> None:
    """An older program refuses a newer file."""
    store.close()
    change(tmp_path / "store.db", f"UPDATE schema_version SET version = {VERSION + 1}")
    assert refused(tmp_path / "store.db", signer) == "store.newer"


def test_an_earlier_schema_is_brought_up(store: Store, tmp_path: Path, signer: Issuer) -> None:
    """A file of version 1 keeps people and grants, whose signatures still hold; what it had asked of people is over."""
    grant = GrantRow("g_1", ("u_1",), "shop", 10**15, "agents-read", "ticket 7", "active", 2)
    store.put_identity(Hop("u_1", "alice", Kind.USER), leaf=1)
    store.put_grant(grant)
    store.close()
    for statement in (
        "DROP TABLE approvals",
        "CREATE TABLE approvals (id TEXT PRIMARY KEY, sid TEXT, state TEXT, body TEXT, leaf INT, signature BLOB)",
        "INSERT INTO approvals VALUES ('ap_1', 'sid', 'waiting', '{\"asked\":1}', 3, x'00')",
        *(f"DROP TABLE {name}" for name in ("links", "credentials", "secrets", "notices")),
        "ALTER TABLE identities DROP COLUMN same",
        *(f"ALTER TABLE grants DROP COLUMN {name}" for name in ("kind", "approval", "seconds")),
        "UPDATE schema_version SET version = 1",
    ):
        change(tmp_path / "store.db", statement)
    again = Store(tmp_path / "store.db", signer)
    found = again.identity("u_1")
    assert (found is not None and found.name, again.grants(), again.approvals()) == ("alice", [grant], [])
    assert again.credentials("u_1") == again.links() == []


def test_a_half_made_file_is_completed(store: Store, tmp_path: Path, signer: Issuer) -> None:
    """A crash while the tables were made is no obstacle."""
    store.close()
    for statement in ("DELETE FROM schema_version", "DROP TABLE tokens"):
        change(tmp_path / "store.db", statement)
    assert Store(tmp_path / "store.db", signer).tokens() == []


def test_other_files_are_refused(tmp_path: Path, signer: Issuer) -> None:
    """Garbage and other programs' databases are left alone."""
    (tmp_path / "garbage").write_bytes(b"no database at all, " * 100)
    change(tmp_path / "other.db", "CREATE TABLE music (title TEXT)")
    assert {refused(tmp_path / name, signer) for name in ("garbage", "other.db")} == {"store.unreadable"}
