"""Refresh tokens: sealed, bounded, and gone with their login."""

from __future__ import annotations

import os

import pytest

from tidegate.identity import refresh
from tidegate.identity.refresh import Refreshes
from tidegate.store.box import Box

from .conftest import Watch


@pytest.fixture
def kept(watch: Watch) -> Refreshes:
    """For logins of a minute."""
    return Refreshes(Box(os.urandom(32)), watch, 60)


def test_the_newest_counts(kept: Refreshes) -> None:
    """One for each subject."""
    kept.keep("u1", "one")
    kept.keep("u1", "two")
    kept.keep("u2", "three")
    assert (kept.token("u1"), kept.token("u2"), kept.token("u3")) == ("two", "three", None)
    kept.forget("u1")
    assert (kept.token("u1"), kept.subjects()) == (None, ["u2"])


def test_a_login_is_not_prolonged(kept: Refreshes, watch: Watch) -> None:
    """A renewed token lives as long as the login, and nobody comes back by it."""
    kept.keep("u1", "one")
    watch.seconds += 59
    kept.keep("u1", "two", renewed=True)
    assert kept.token("u1") == "two"
    watch.seconds += 1
    assert kept.token("u1") is None
    kept.keep("u1", "three", renewed=True)
    assert kept.token("u1") is None


@pytest.mark.parametrize("token", [None, "", 5, "a" * 20_000])
def test_no_token(kept: Refreshes, token: object) -> None:
    """What is none is not kept."""
    kept.keep("u1", token)
    assert kept.subjects() == []


def test_tokens_are_sealed(kept: Refreshes) -> None:
    """What is in memory shows nothing."""
    kept.keep("u1", "refresh-secret")
    assert b"refresh-secret" not in repr(vars(kept)).encode()


def test_places_are_few(kept: Refreshes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who came first goes first."""
    monkeypatch.setattr(refresh, "PLACES", 2)
    for subject in ("u1", "u2", "u1", "u3"):
        kept.keep(subject, "t")
    assert kept.subjects() == ["u1", "u3"]
