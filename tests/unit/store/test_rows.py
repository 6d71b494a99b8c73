"""The store: rows read back as written, codes are used once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tidegate.errors import Refused
from tidegate.model.identity import Hop, Kind
from tidegate.store.rows import (
    ApprovalRow,
    CodeRow,
    CredentialRow,
    GrantRow,
    IdentityRow,
    LinkRow,
    SessionRow,
    Store,
    TokenRow,
)

GRANT = GrantRow("g_1", ("u_1", "a_x"), "shop", 10**15, "agents-read", 'a "reason"', "active", 7)
TOKEN = TokenRow("tk_1", "g_1", "u_1", "resource:shop", 10**15, False, 8)
SESSION = SessionRow("0192", ("u_1", "a_x"), "alice -> x", "shop", started=100)


def test_identities_read_back(store: Store) -> None:
    """By subject, by name, and all by name."""
    store.put_identity(Hop("u_1", "zoe", Kind.USER, ("dba", "ops")), leaf=1)
    store.put_identity(Hop("a_x", "x", Kind.AGENT), owner="u_1", leaf=2)
    zoe = IdentityRow("u_1", "zoe", Kind.USER, ("dba", "ops"), "", False, 1)
    assert store.identity("u_1") == store.identity_named("zoe") == zoe
    assert [row.name for row in store.identities()] == ["x", "zoe"]
    assert zoe.hop == Hop("u_1", "zoe", Kind.USER, ("dba", "ops"), same="u_1")
    assert store.identity("u_2") is None


def test_writing_again_changes_the_row(store: Store) -> None:
    """One row a subject, and the last writing counts."""
    for disabled, leaf in ((False, 1), (True, 2)):
        store.put_identity(Hop("u_1", "zoe", Kind.USER), disabled=disabled, leaf=leaf)
    assert [(row.disabled, row.leaf) for row in store.identities()] == [(True, 2)]


def test_a_name_belongs_to_one(store: Store) -> None:
    """A second identity of the same name is refused and changes nothing."""
    store.put_identity(Hop("u_1", "zoe", Kind.USER), leaf=1)
    with pytest.raises(Refused) as caught:
        store.put_identity(Hop("u_2", "zoe", Kind.USER), leaf=2)
    assert caught.value.code == "identity.taken"
    assert [row.subject for row in store.identities()] == ["u_1"]


def test_codes_are_used_once(store: Store) -> None:
    """The first taking gives the row, the second nothing, an expired one nothing."""
    store.put_code("one", subject="u_1", expires=100, purpose="enrol")
    assert store.take_code("one", 100) is None
    assert store.take_code("one", 99) == CodeRow("u_1", 100, "enrol")
    assert store.take_code("one", 99) is None


def test_links_read_back(store: Store) -> None:
    """By id, by provider, by somebody; a forgotten one is gone."""
    one = LinkRow("li_1", "jwt:k8s", "", "a_x", '{"sub":"system:serviceaccount:prod:bot"}', 5)
    two = LinkRow("li_2", "corp", "00u1", "u_1", "{}", 4)
    for row in (one, two):
        store.put_link(row)
    assert store.links() == [two, one]
    assert store.links(provider="jwt:k8s") == store.links(subject="a_x") == [store.link("li_1")] == [one]
    assert store.links(provider="corp", externals=["00u2", ""]) == []
    assert store.links(externals=["00u1", "x"]) == [two]
    store.drop_link("li_1")
    assert store.link("li_1") is None and store.links() == [two]


def test_live_grants_are_of_exactly_a_chain(store: Store) -> None:
    """Of this chain on this resource, neither over nor ended, the longest first."""
    longer = replace(GRANT, id="g_2", expires=GRANT.expires + 1)
    others = [
        replace(GRANT, id="g_3", subjects=("u_1",)), replace(GRANT, id="g_4", subjects=("u_1", "a_x", "a_y")),
        replace(GRANT, id="g_5", resource="shop2"), replace(GRANT, id="g_6", state="revoked"),
        replace(GRANT, id="g_7", state="approved"), replace(GRANT, id="g_8", expires=50),
    ]  # fmt: skip
    for row in (GRANT, longer, *others):
        store.put_grant(row)
    assert store.live_grants(("u_1", "a_x"), "shop", 50) == [longer, GRANT]
    assert store.live_grants(("u_1", "a_x"), "shop", GRANT.expires) == [longer]


def test_threads_cannot_share_a_code(store: Store) -> None:
    """Taking is one compare-and-set: of sixteen at once one succeeds."""
    store.put_code("one", subject="u_1", expires=100, purpose="enrol")
    with ThreadPoolExecutor(16) as pool:
        taken = list(pool.map(lambda _: store.take_code("one", 0), range(16)))
    assert len([row for row in taken if row]) == 1


def test_codes_are_not_in_the_file(store: Store, tmp_path: Path) -> None:
    """Only a hash is stored."""
    store.put_code("very-secret-code", subject="u_1", expires=100, purpose="enrol")
    store.close()
    assert b"very-secret-code" not in b"".join(path.read_bytes() for path in tmp_path.glob("store.db*"))


def test_codes_of_a_purpose_are_dropped(store: Store) -> None:
    """Dropping one purpose leaves the others."""
    for purpose in ("enrol", "bootstrap"):
        store.put_code(purpose, subject="", expires=100, purpose=purpose)
    store.drop_codes("bootstrap")
    assert [bool(store.take_code(code, 0)) for code in ("enrol", "bootstrap")] == [True, False]


def test_grants_read_back(store: Store) -> None:
    """By id, all newest first, and those of a subject, whose wildcard characters mean themselves."""
    store.put_grant(GRANT)
    store.put_grant(newer := replace(GRANT, id="g_2", subjects=("u11", "a_y"), leaf=9))
    assert (store.grant("g_1"), store.grant("g_3")) == (GRANT, None)
    assert store.grants() == [newer, GRANT]
    assert store.grants("u_1") == store.grants("a_x") == [GRANT]
    assert store.grants("u_") == []


def test_revoking_a_token(store: Store) -> None:
    """Revoked by the leaf that says so; an unknown token is not found."""
    store.put_token(TOKEN)
    assert store.tokens("u_1") == store.tokens() == [TOKEN] and store.tokens("u_2") == []
    assert store.revoke_token("tk_1", 12)
    assert store.token("tk_1") == replace(TOKEN, revoked=True, leaf=12)
    assert not store.revoke_token("tk_2", 13)


def test_sessions_are_listed_newest_first(store: Store) -> None:
    """Pages follow the time of start."""
    rows = [replace(SESSION, sid=str(number), started=number) for number in range(5)]
    for row in rows:
        store.put_session(row)
    assert store.sessions(limit=2) == [rows[4], rows[3]]
    assert store.sessions(limit=2, before=3) == [rows[2], rows[1]]


def test_a_session_is_updated(store: Store) -> None:
    """The end and the counts replace the row."""
    store.put_session(SESSION)
    store.put_session(ended := replace(SESSION, ended=200, reason="done", operations=3, masked=2))
    assert store.session("0192") == ended and store.session("0193") is None


def test_approvals_are_listed_newest_first(store: Store) -> None:
    """Pages follow the time of asking, whichever log the leaves are in; an update leaves the row in its place."""
    rows = [ApprovalRow(f"ap_{at}", "operation", "digest", "waiting", at, b"sealed", 9 - at) for at in range(3)]
    for row in rows:
        store.put_approval(row)
    store.put_approval(answered := replace(rows[1], state="granted"))
    assert store.approvals(limit=2) == [rows[2], answered]
    assert store.approvals(before=1) == [rows[0]]
    assert store.approval("ap_1") == answered


def test_credentials_of_a_person(store: Store) -> None:
    """Kept and read by person, in the order of their leaves; a secret is not in the repr."""
    rows = [CredentialRow(f"c_{at}", "u_1", "ssh", "laptop", b"key", b"sealed", 0, False, at) for at in (2, 1)]
    for row in (*rows, CredentialRow("c_3", "u_2", "password", "", b"", b"sealed", 0, False, 3)):
        store.put_credential(row)
    assert store.credentials("u_1") == rows[::-1]
    assert "sealed" not in repr(rows[0])


def test_a_counter_moves_once(store: Store) -> None:
    """Of two that have read the same row, one moves it; nothing moves a row that has changed otherwise."""
    row = CredentialRow("c_1", "u_1", "totp", "", b"", b"sealed", 5, False, 1)
    store.put_credential(row)
    assert [store.move_counter(row, 6), store.move_counter(row, 6)] == [True, False]
    moved = store.credentials("u_1")[0]
    assert moved.counter == 6
    store.put_credential(replace(moved, revoked=True))
    assert not store.move_counter(moved, 7)


def test_a_code_can_be_looked_at(store: Store) -> None:
    """Without using it up, and not once it has expired."""
    store.put_code("one", subject="u_1", expires=100, purpose="enrol")
    assert store.code("one", 99) == store.code("one", 99) == CodeRow("u_1", 100, "enrol")
    assert (store.code("one", 100), store.code("two", 0)) == (None, None)
