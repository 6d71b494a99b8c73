"""Rule 5: the upstream's credential never reaches the agent, not even when the upstream itself echoes it.

What goes to the agent is searched for the credentials in use, raw and in the encodings that an echo would use. A find
is overwritten by as many ``x``, so that lengths, and with them the protocol's framing, stay as they were. Messages
mostly come whole; of one that is streamed, the end of each chunk waits for the next, so that a credential split over
chunks is found too.
"""

from __future__ import annotations

import base64
from urllib.parse import quote

import hyperscan

SHORTEST = 8
"""Credentials with fewer bytes are not searched for: they would hit by chance."""

LONGEST = 1000
"""Bytes that a long form is found by, fewer than hyperscan takes; what is found is overwritten whole."""

LATE = 64 * 1024
"""Bytes of a message that is not whole yet which are searched again with its rest."""


class Known:
    """The values in use for one resource, all its sessions together, made ready to be looked for in one pass.

    They are kept nowhere else: a value that is not in use any more is forgotten. Making ready takes a millisecond.
    """

    def __init__(self, *values: str) -> None:
        self.change(values)

    def change(self, values: tuple[str, ...]) -> None:
        """These are in use from now on."""
        secrets = [value.encode() for value in values]
        found = [form for secret in secrets if len(secret) >= SHORTEST for form in _patterns(secret)]
        self.values = values
        self.patterns = tuple(sorted(dict.fromkeys(found), key=len, reverse=True))
        self.database = _database(self.patterns) if self.patterns else None


class Scrub:
    """Searches for what is ``known``; ``found``: it was to be shown.

    A session that began before a rotation looks for the new credential as well, from the moment it is in use.
    """

    def __init__(self, known: Known) -> None:
        self._known = known
        self._hits = 0
        self._came = self._shown = self._late = b""
        self.found = False
        self._learn()

    def _learn(self) -> None:
        self._patterns = self._known.patterns
        self._database = self._known.database
        self._overlap = max(map(len, self._patterns), default=1) - 1

    def stream(self, came: bytes, shown: bytes, *, more: bool) -> tuple[bytes, bytes]:
        """Of what came and of what is shown of it, what may be recorded and what may pass now.

        ``more``: a message is cut, and its last bytes may be the beginning of a credential.
        """
        same = shown is came and self._shown == self._came
        if not same and not more and self._shifted(came, shown):
            return came, shown
        data = self._shown + shown if self._shown else shown
        clean = self(data)
        self.found = self.found or clean is not data
        out, self._shown = self._cut(clean, more)
        if same:
            self._came = self._shown
            return out, out
        seen, self._came = self._cut(self(self._came + came), more)
        return seen, out

    def _shifted(self, came: bytes, shown: bytes) -> bool:
        """Whether what is shown is what came, but for messages that are not whole, and the one search finds nothing."""
        late = self._late + came
        if self._shown or self._came or len(late) - len(shown) > LATE or not late.startswith(shown):
            self._late = b""
            return False
        self._late = late[len(shown) :]
        return self(late) is late

    def _cut(self, data: bytes, more: bool) -> tuple[bytes, bytes]:
        """What may pass and what waits."""
        if not more:
            return data, b""
        at = max(0, len(data) - self._overlap)
        return data[:at], data[at:]

    def __call__(self, data: bytes) -> bytes:
        """The same bytes, or a copy of the same length without the credential."""
        if self._patterns is not self._known.patterns:
            self._learn()
        if self._database is None or not data:
            return data
        self._hits = 0
        self._database.scan(data, match_event_handler=self._hit)
        return self._replaced(data) if self._hits else data

    def _hit(self, _id: int, _start: int, _end: int, _flags: int, _context: object) -> None:
        self._hits += 1

    def _replaced(self, data: bytes) -> bytes:
        for pattern in self._patterns:
            data = data.replace(pattern, b"x" * len(pattern))
        return data


def _database(patterns: tuple[bytes, ...]) -> hyperscan.Database:
    database = hyperscan.Database()
    literal = [b"".join(b"\\x%02x" % byte for byte in pattern[:LONGEST]) for pattern in patterns]
    flags = hyperscan.HS_FLAG_SINGLEMATCH
    database.compile(expressions=literal, ids=list(range(len(literal))), flags=[flags] * len(literal))
    return database


def _patterns(secret: bytes) -> tuple[bytes, ...]:
    """Raw, hexadecimal, URL-encoded, and base64 at each of the three offsets it may have in a longer text."""
    shifted = []
    for offset in range(3):
        text = base64.b64encode(bytes(offset) + secret).rstrip(b"=")
        whole = text[(offset * 8 + 5) // 6 : len(text) - (1 if (offset + len(secret)) % 3 else 0)]
        shifted += [whole, whole.replace(b"+", b"-").replace(b"/", b"_")]
    forms = [secret, secret.hex().encode(), secret.hex().upper().encode(), quote(secret, safe="").encode(), *shifted]
    return tuple(dict.fromkeys(forms))
