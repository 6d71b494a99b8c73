"""Logins that begin in a terminal and are confirmed in a browser (RFC 8628, OAuth 2.0 Device Authorization Grant).

The terminal gets a long device code, kept here by its hash only, and shows a short user code, which its person reads to
the browser they are logged in with. The user code alone gives nothing; wrong ones are counted for whoever enters them,
so that guessing one of those outstanding is hopeless. A login is taken once. Everything is in memory and ends by
itself.

Who floods the gateway with requests displaces their own first: with the table full, the source with the most loses its
oldest, and what a person has looked at stays. Event loop only.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter, OrderedDict
from dataclasses import dataclass, field

from tidegate.clock import Clock
from tidegate.errors import AgentError

LIFE = 600
INTERVAL = 5
"""Seconds that a code lives, and that a terminal waits between two questions."""

MOST = 1000
"""Logins under way at a time."""

GUESSES = 10
"""Wrong user codes that one person may enter while a code lives."""

_ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"  # RFC 8628 section 6.1: no vowels, nothing that looks like a digit
_LENGTH = 8
_AGENT_LIMIT = 160

WAITING, CONFIRMED, DENIED = "waiting", "confirmed", "denied"


@dataclass(slots=True)
class Device:
    """A terminal that wants to log in: what it says it is, where from, when (Unix microseconds), under which code.

    ``login`` is the browser's login by which ``subject`` said yes: the terminal's is worth what that one still is.
    """

    user_code: str
    agent: str
    source: str
    asked: int
    ends: int
    state: str = WAITING
    subject: str = ""
    login: str = field(default="", repr=False)
    seen: bool = False
    interval: int = INTERVAL
    polled: int = field(default=0, repr=False)


class Devices:
    """All terminals that wait. Times inside are monotonic."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._devices: OrderedDict[str, Device] = OrderedDict()
        self._wrong: OrderedDict[str, list[int]] = OrderedDict()

    def begin(self, agent: str, source: str) -> tuple[str, Device]:
        """The device code for a terminal that calls itself ``agent``, and what is known of it."""
        self._sweep()
        if len(self._devices) >= MOST:
            self._displace()
        code = secrets.token_urlsafe(32)
        ends = self._clock.monotonic() + LIFE * 1_000_000
        device = Device(self._fresh_code(), agent[:_AGENT_LIMIT], source, self._clock.now(), ends)
        self._devices[_hash(code)] = device
        return code, device

    def find(self, user_code: str, by: str) -> Device:
        """The terminal that shows ``user_code``, for the person with subject ``by`` to look at.

        Raises AgentError ``device.unknown``, ``device.guesses``.
        """
        self._sweep()
        wrong = self._guesses(by)
        wanted = tidy(user_code)
        found = next((each for each in self._devices.values() if each.user_code == wanted), None)
        if found is None or found.state != WAITING:
            wrong.append(self._clock.monotonic())
            raise AgentError(
                "no terminal shows this code",
                hint="Compare it with your terminal; a code is good for ten minutes. Else run `tidegate login` again.",
                code="device.unknown",
            )
        found.seen = True
        return found

    def answer(self, user_code: str, by: str, *, yes: bool, login: str = "") -> Device:
        """The person says, by a ``login``, whether the terminal is theirs. Raises AgentError as ``find``."""
        found = self.find(user_code, by)
        found.state, found.subject, found.login = (CONFIRMED if yes else DENIED), by, login
        return found

    def take(self, code: str) -> Device:
        """The terminal whose login somebody has confirmed; the code is used up.

        Raises AgentError ``login.pending``, ``login.slow_down``, ``login.expired``, ``login.denied``.
        """
        self._sweep()
        key = _hash(code)
        found = self._devices.get(key)
        if found is None:
            raise AgentError("the code has expired or was used", hint="tidegate login again.", code="login.expired")
        if found.state == WAITING:
            self._pace(found)
            raise AgentError("nobody has confirmed it yet", hint="Ask again later.", code="login.pending")
        del self._devices[key]
        if found.state == DENIED:
            raise AgentError("the login was denied in the browser", hint="tidegate login again.", code="login.denied")
        return found

    def _pace(self, device: Device) -> None:
        """RFC 8628 section 3.5: who asks too often waits five seconds longer from then on."""
        now, last = self._clock.monotonic(), device.polled
        device.polled = now
        if last and now - last < (device.interval - 1) * 1_000_000:
            device.interval = min(device.interval + 5, 60)
            raise AgentError("this asks too often", hint=f"Every {device.interval} s.", code="login.slow_down")

    def _guesses(self, by: str) -> list[int]:
        recent = self._clock.monotonic() - LIFE * 1_000_000
        wrong = [moment for moment in self._wrong.pop(by, []) if moment > recent]
        self._wrong[by] = wrong
        if len(self._wrong) > MOST:
            self._wrong.popitem(last=False)
        if len(wrong) >= GUESSES:
            raise AgentError("there were too many wrong codes", hint="Try again in ten minutes.", code="device.guesses")
        return wrong

    def _sweep(self) -> None:
        now = self._clock.monotonic()
        while self._devices and next(iter(self._devices.values())).ends <= now:
            self._devices.popitem(last=False)

    def _displace(self) -> None:
        idle = {key: device for key, device in self._devices.items() if not device.seen} or dict(self._devices)
        [(source, _)] = Counter(device.source for device in idle.values()).most_common(1)
        del self._devices[next(key for key, device in idle.items() if device.source == source)]

    def _fresh_code(self) -> str:
        taken = {device.user_code for device in self._devices.values()}
        while (code := tidy("".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH)))) in taken:
            pass
        return code


def tidy(user_code: str) -> str:
    """A user code as it is shown, however it was typed: letters in either case, with or without the dash."""
    letters = "".join(char for char in user_code.upper() if char.isalpha())[: _LENGTH + 1]
    return f"{letters[:4]}-{letters[4:]}"


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
