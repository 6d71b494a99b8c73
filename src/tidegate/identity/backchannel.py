"""Logout tokens: a provider says that somebody's login there is over (OpenID Connect Back-Channel Logout 1.0).

Section 2.6 says what must hold. A token is used once: its ``jti`` is remembered until it has expired. A token may name
a session at the provider in place of the person; which person that is, is known from their login.
"""

from __future__ import annotations

from collections import OrderedDict

from tidegate.clock import Clock
from tidegate.errors import AgentError

from .claims import SUBJECT, plain
from .jws import malformed
from .keysets import KeySet, number

EVENT = "http://schemas.openid.net/event/backchannel-logout"
PLACES = 10_000
"""Most sessions and used tokens that are remembered."""

LONGEST = 900
"""Seconds that a logout token may live: it is remembered as long."""

_TYPES = frozenset({"", "jwt", "logout+jwt"})


class Logouts:
    """For one provider; ``audience`` is what it calls us."""

    def __init__(self, keys: KeySet, issuer: str, audience: str, clock: Clock) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._clock = clock
        self._sessions: OrderedDict[str, str] = OrderedDict()
        self._used: OrderedDict[str, float] = OrderedDict()

    def know(self, session: object, subject: str) -> None:
        """Remember whose a session at the provider is; it came with their ID token, if at all."""
        if isinstance(session, str) and plain(session) and len(session) <= SUBJECT:
            self._sessions[session] = subject
            self._sessions.move_to_end(session)
            while len(self._sessions) > PLACES:
                self._sessions.popitem(last=False)

    async def subject(self, token: str) -> str:
        """Whose login is over. Raises AgentError ``token.*`` and ``login.unknown``, ResourceError ``provider.*``."""
        claims = await self._keys.verify(token, issuer=self._issuer, audience=self._audience, types=_TYPES)
        events, id = claims.get("events"), claims.get("jti")
        if not isinstance(events, dict) or not isinstance(events.get(EVENT), dict) or "nonce" in claims:
            raise malformed()
        if not isinstance(id, str) or not 0 < len(id) <= SUBJECT:
            raise malformed()
        ends = number(claims.get("exp"))
        if ends - number(claims.get("iat")) > LONGEST:
            raise malformed()
        subject = self._named(claims.get("sub"), claims.get("sid"))
        self._use(id, ends)
        return subject

    def _named(self, subject: object, session: object) -> str:
        if isinstance(subject, str) and plain(subject):
            return subject
        if subject is not None or not isinstance(session, str):
            raise malformed()
        if session not in self._sessions:
            raise AgentError("there is no such session here", hint="Name the person, too: `sub`.", code="login.unknown")
        return self._sessions[session]

    def _use(self, id: str, ends: float) -> None:
        now = self._clock.now() / 1_000_000
        for old in [used for used, until in self._used.items() if until <= now]:
            del self._used[old]
        if id in self._used or len(self._used) >= PLACES:
            raise AgentError("this logout token was used", hint="Send a new one.", code="token.replayed")
        self._used[id] = ends
