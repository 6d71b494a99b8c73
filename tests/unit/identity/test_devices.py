"""Terminals that wait for their person in a browser."""

from __future__ import annotations

import re

import pytest

from tidegate.clock import SystemClock
from tidegate.errors import AgentError
from tidegate.identity import devices
from tidegate.identity.devices import GUESSES, LIFE, Devices, tidy


class Seconds:
    """A clock that a test sets."""

    seconds = 1.0
    now = SystemClock.now
    session_id = SystemClock.session_id
    name = SystemClock.name

    def monotonic(self) -> int:
        return int(self.seconds * 1_000_000)


def code_of(error: pytest.ExceptionInfo[AgentError]) -> str:
    return error.value.code


def test_a_confirmed_login_is_taken_once() -> None:
    """The terminal gets who confirmed it, and nobody gets it again."""
    store = Devices(SystemClock())
    code, device = store.begin("tidegate-cli", "203.0.113.5")
    store.answer(device.user_code, "u_1", yes=True)
    assert store.take(code).subject == "u_1"
    with pytest.raises(AgentError) as again:
        store.take(code)
    assert code_of(again) == "login.expired"


def test_a_denied_login_is_over() -> None:
    """A no reaches the terminal, and a yes does not follow it."""
    store = Devices(SystemClock())
    code, device = store.begin("", "")
    store.answer(device.user_code, "u_1", yes=False)
    with pytest.raises(AgentError):
        store.answer(device.user_code, "u_2", yes=True)
    with pytest.raises(AgentError) as denied:
        store.take(code)
    assert code_of(denied) == "login.denied"


def test_polling_too_often_is_slowed() -> None:
    """RFC 8628 section 3.5: `slow_down`, and five seconds more each time."""
    clock = Seconds()
    store = Devices(clock)
    code, device = store.begin("", "")
    seen = []
    for clock.seconds in (2, 7, 8, 13, 23.5):
        with pytest.raises(AgentError) as error:
            store.take(code)
        seen.append(code_of(error).removeprefix("login."))
    assert seen == ["pending", "pending", "slow_down", "slow_down", "slow_down"]
    assert device.interval == 20


def test_codes_expire() -> None:
    """After ten minutes neither code is good."""
    clock = Seconds()
    store = Devices(clock)
    code, device = store.begin("", "")
    clock.seconds += LIFE
    with pytest.raises(AgentError) as unknown:
        store.find(device.user_code, "u_1")
    with pytest.raises(AgentError) as expired:
        store.take(code)
    assert (code_of(unknown), code_of(expired)) == ("device.unknown", "login.expired")


def test_guesses_are_counted_for_each_person() -> None:
    """Who enters wrong codes may enter no more for a while, not even a right one; others may."""
    clock = Seconds()
    store = Devices(clock)
    _, device = store.begin("", "")
    for _ in range(GUESSES):
        with pytest.raises(AgentError):
            store.find("BBBB-BBBB", "u_eve")
    with pytest.raises(AgentError) as stopped:
        store.find(device.user_code, "u_eve")
    assert code_of(stopped) == "device.guesses"
    assert store.find(device.user_code, "u_1") is device
    clock.seconds += LIFE - 1
    store.begin("", "")
    clock.seconds += 2
    with pytest.raises(AgentError) as later:
        store.find("BBBB-BBBB", "u_eve")
    assert code_of(later) == "device.unknown"


def test_a_flood_displaces_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table is bounded; who fills it loses their own, and others can still log in."""
    monkeypatch.setattr(devices, "MOST", 20)
    store = Devices(SystemClock())
    mine, device = store.begin("", "198.51.100.1")
    for _ in range(100):
        store.begin("", "203.0.113.5")
    assert len(store._devices) == 20
    store.answer(device.user_code, "u_1", yes=True)
    assert store.take(mine).subject == "u_1"


def test_what_somebody_looked_at_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind one address, as with a proxy, a flood does not take away the login that a person is confirming."""
    monkeypatch.setattr(devices, "MOST", 20)
    store = Devices(SystemClock())
    _, device = store.begin("", "127.0.0.1")
    store.find(device.user_code, "u_1")
    for _ in range(100):
        store.begin("", "127.0.0.1")
    assert store.find(device.user_code, "u_1") is device


def test_codes_are_easy_to_type_and_hard_to_guess() -> None:
    """Twenty letters without vowels, eight of them; what a person types is tidied."""
    store = Devices(SystemClock())
    codes = {store.begin("", "")[1].user_code for _ in range(50)}
    assert len(codes) == 50
    assert all(re.fullmatch(r"[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", code) for code in codes)
    assert {tidy(typed) for typed in ("bcdf-ghjk", "BCDFGHJK", " bcdf ghjk\n")} == {"BCDF-GHJK"}


def test_the_device_code_is_kept_by_its_hash() -> None:
    """Nothing in the table opens anything."""
    store = Devices(SystemClock())
    code, device = store.begin("", "")
    assert code not in store._devices
    assert code not in repr(device)
