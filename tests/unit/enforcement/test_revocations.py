"""Bars: what was given before them is over, whoever listed it, and what comes after them is not."""

from __future__ import annotations

import pytest

from tidegate.enforcement.revocations import Bar, Revocations, row


def drawn(of: str, id: str = "") -> Revocations:
    """A bar by leaf 100, at second 50."""
    revocations = Revocations()
    revocations.add(Bar(of, id, 100, 50_000_000).word)
    return revocations


@pytest.mark.parametrize(
    ("of", "id", "over"),
    [("subject", "a_bot", True), ("subject", "a_other", False), ("resource", "shop", True), ("resource", "crm", False)],
)
def test_a_bar_is_across_what_it_names(of: str, id: str, over: bool) -> None:
    """A chain with the subject in it, and the resource; nothing else."""
    assert drawn(of, id).barred(("u_1", "a_bot"), "shop", issued=1, leaf=99) is over


def test_all_is_everything_but_logins() -> None:
    """A bar across everything leaves people their logins: somebody must let agents in again."""
    assert drawn("all").barred(("u_1",), "shop", issued=1, leaf=99)
    assert not drawn("all").barred(("u_1",), "", issued=1, leaf=99)
    assert drawn("subject", "u_1").barred(("u_1",), "", issued=1, leaf=99)


@pytest.mark.parametrize(
    ("issued", "leaf", "over"), [(1, 99, True), (1, 101, False), (50, None, True), (51, None, False), (60, 99, True)]
)
def test_what_comes_after_is_valid(issued: int, leaf: int | None, over: bool) -> None:
    """By the leaf of its grant, and else by its second, in which nothing is given the benefit of the doubt."""
    assert drawn("all").barred(("u_1",), "shop", issued=issued, leaf=leaf) is over


def test_the_last_bar_counts() -> None:
    """An earlier bar that arrives later takes nothing back."""
    revocations = drawn("all")
    revocations.add(Bar("all", "", 10, 1).word)
    assert revocations.barred((), "shop", issued=1, leaf=99)


def test_words_carry_everything() -> None:
    """What one process iterates over, another takes in as it is."""
    first = drawn("resource", "shop")
    first.add("tk_1")
    second = Revocations()
    for word in first:
        second.add(word)
    assert "tk_1" in second and second.barred((), "shop", issued=1, leaf=99)


def test_a_start_reads_them_from_the_log() -> None:
    """The leaf that ordered it draws the bar again; one of a session has no bar, its grant is revoked."""
    leaf = {"k": "kill.ordered", "of": "subject", "id": "u_1", "i": 7, "t": 5_000_000, "by": "u_2"}
    revocations = Revocations([leaf, leaf | {"of": "session", "id": "g_1"}])
    assert revocations.barred(("u_1",), "shop", issued=1, leaf=6)
    assert len(list(revocations)) == 1


def test_an_old_row_counts_no_more() -> None:
    """What the log says of somebody last is what the store must have, or something newer; words arrive in any order."""
    leaves = [{"k": "identity.bound", "sub": "u_1", "groups": [], "i": number} for number in (5, 9)]
    code = {"k": "identity.bound", "sub": "u_1", "code": True, "i": 12}
    first = Revocations([*leaves, code])
    second = Revocations()
    for word in (*first, row("u_1", 3)):
        second.add(word)
    for revocations in (first, second):
        assert [revocations.outdated("u_1", leaf) for leaf in (5, 8, 9, 10)] == [True, True, False, False]
        assert not revocations.outdated("u_2", 1)
        assert "u_1" not in revocations
