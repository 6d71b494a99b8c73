"""Signatures of rows: no change in the file goes unseen."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from tidegate.clock import SystemClock
from tidegate.errors import IntegrityError
from tidegate.identity.issuer import Issuer
from tidegate.model.identity import Hop, Kind
from tidegate.store import schema
from tidegate.store.rows import ApprovalRow, CredentialRow, GrantRow, Store, TokenRow
from tidegate.store.signed import verified

READ: dict[str, Callable[[Store], object]] = {
    "identities": lambda store: (store.identity("u_1"), store.identity_named("eve"), store.identities()),
    "grants": lambda store: store.grants(),
    "tokens": lambda store: store.tokens(),
    "approvals": lambda store: store.approvals(),
    "credentials": lambda store: store.credentials("u_1"),
    "codes": lambda store: store.take_code("secret", 0),
}


@pytest.fixture
def full(store: Store) -> Store:
    """One row in each signed table."""
    store.put_identity(Hop("u_1", "alice", Kind.USER, ("dba",)), leaf=1)
    store.put_grant(GrantRow("g_1", ("u_1",), "shop", 10**15, "agents-read", "ticket 7", "active", 2))
    store.put_token(TokenRow("tk_1", "g_1", "u_1", "resource:shop", 10**15, False, 3))
    store.put_approval(ApprovalRow("ap_1", "operation", "digest", "approved", 1, b"sealed", 4))
    store.put_credential(CredentialRow("c_1", "u_1", "totp", "phone", b"", b"sealed", 7, False, 5))
    store.put_code("secret", subject="u_1", expires=10**15, purpose="enrol")
    return store


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE identities SET name = 'eve'",
        """UPDATE identities SET "groups" = '["admins"]'""",
        "UPDATE identities SET disabled = 1",
        "UPDATE identities SET kind = 'ghost'",
        "UPDATE grants SET expires = expires + 1",
        "UPDATE grants SET resource = 'vault'",
        "UPDATE grants SET subjects = 'not json'",
        "UPDATE grants SET leaf = 1",
        "UPDATE grants SET signature = zeroblob(64)",
        "UPDATE grants SET signature = x''",
        "UPDATE tokens SET revoked = NOT revoked",
        "UPDATE tokens SET \"grant\" = 'g_2'",
        "UPDATE approvals SET state = 'refused'",
        "UPDATE approvals SET body = x'ff'",
        "UPDATE credentials SET counter = 6",
        "UPDATE credentials SET revoked = NOT revoked",
        "UPDATE credentials SET method = 'password'",
        "UPDATE credentials SET sealed = x'00'",
        "UPDATE codes SET subject = 'u_2'",
    ],
)
def test_a_forged_row_is_detected(full: Store, tmp_path: Path, statement: str) -> None:
    """Any change of any column is an error when the row is read."""
    with sqlite3.connect(tmp_path / "store.db") as connection:
        connection.execute(statement)
    connection.close()
    with pytest.raises(IntegrityError) as caught:
        READ[statement.split()[1]](full)
    assert caught.value.code == "store.forged"


def test_every_table_reads_when_nothing_was_changed(full: Store) -> None:
    """The same readings without a change succeed."""
    assert all(read(full) for read in READ.values())


def test_another_gateways_rows_are_forged(full: Store, tmp_path: Path) -> None:
    """A store under another key is refused row by row."""
    other = Issuer(tmp_path / "other", "gw.example", SystemClock())
    with pytest.raises(IntegrityError):
        Store(tmp_path / "store.db", other).grant("g_1")


def test_a_row_of_before_a_column_came_keeps_its_signature(tmp_path: Path) -> None:
    """Its signature knows nothing of the column and holds while that has its default; no value is smuggled in."""
    issuer = Issuer(tmp_path / "keys", "example.org", SystemClock())
    before = {"subject": "u_1", "name": "a", "kind": "user", "groups": "[]", "owner": "", "disabled": False, "leaf": 1}
    data = orjson.dumps({"table": "identities", "row": before}, option=orjson.OPT_SORT_KEYS)
    row = {**before, "same": "", "signature": issuer.sign_row(data)}
    assert verified(schema.identities, row, issuer)["same"] == ""
    with pytest.raises(IntegrityError):
        verified(schema.identities, {**row, "same": "u_2"}, issuer)
