"""What a browser's cookie stands for, and for how long."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tidegate.clock import SystemClock
from tidegate.web.browser import visits
from tidegate.web.browser.visits import Visits


class Hours:
    """A clock that a test sets."""

    hours = 0.0
    now = SystemClock.now
    session_id = SystemClock.session_id
    name = SystemClock.name

    def monotonic(self) -> int:
        return int(self.hours * 3600 * 1_000_000)


def begun(store: Visits, subject: str = "u_1") -> str:
    person = SimpleNamespace(subject=subject)
    login: Any = SimpleNamespace(token="t", identity=SimpleNamespace(person=person))
    return store.begin(login)


def test_each_login_has_a_cookie_of_its_own() -> None:
    """Cookies are new, long, and kept by their hash only."""
    store = Visits(SystemClock())
    cookies = {begun(store, f"u_{n}") for n in range(50)}
    assert len(cookies) == 50
    assert min(map(len, cookies)) >= 43
    assert not cookies & set(store._visits)


def test_a_visit_ends_when_it_is_idle() -> None:
    """Each use keeps it; without one it is over after a while, for good."""
    clock: Any = Hours()
    store = Visits(clock, idle=2 * 3600)
    cookie = begun(store)
    for clock.hours in (1.9, 3.8, 5.7):
        assert store.find(cookie)
    clock.hours = 7.8
    assert store.find(cookie) is None
    clock.hours = 5.8
    assert store.find(cookie) is None


def test_an_ended_visit_is_over() -> None:
    """After the end the cookie stands for nothing."""
    store = Visits(SystemClock())
    cookie = begun(store)
    found = store.find(cookie)
    assert found
    store.end(found)
    assert store.find(cookie) is None


def test_odd_cookies_stand_for_nothing() -> None:
    """Empty, invented and huge values are nobody's."""
    store = Visits(SystemClock())
    begun(store)
    assert [store.find(value) for value in ("", "x", "x" * 100_000)] == [None, None, None]


def test_visits_are_bounded(monkeypatch: Any) -> None:
    """Beyond the limit the one that was used longest ago goes."""
    monkeypatch.setattr(visits, "MOST", 3)
    store = Visits(SystemClock())
    first, second = begun(store, "u_1"), begun(store, "u_2")
    begun(store, "u_3")
    assert store.find(first)
    begun(store, "u_4")
    assert store.find(first)
    assert store.find(second) is None


def test_one_person_cannot_crowd_others_out() -> None:
    """Who logs in over and over ends their own visits, not other people's."""
    store = Visits(SystemClock())
    other, first = begun(store, "u_2"), begun(store)
    for _ in range(visits.MOST_OF_ONE):
        last = begun(store)
    assert store.find(other)
    assert store.find(last)
    assert store.find(first) is None


def test_looking_does_not_keep_it_alive() -> None:
    """A page that asks by itself whether something has changed does not put off the idle end."""
    clock: Any = Hours()
    store = Visits(clock, idle=2 * 3600)
    cookie = begun(store)
    for clock.hours in (1.0, 1.9):
        assert store.find(cookie, using=False)
    clock.hours = 2.1
    assert store.find(cookie, using=False) is None


def test_no_secret_is_printed() -> None:
    """Neither cookie nor token is in what a debugger or a log would show."""
    store = Visits(SystemClock())
    found = store.find(begun(store))
    assert "token" not in repr(found)
