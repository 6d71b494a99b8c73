"""Rule 5: the upstream's credential never reaches the agent, not even when the upstream itself echoes it.

What goes to the agent is searched for the credential in use, raw and in the encodings that an echo would use. A find is
overwritten by as many ``x``, so that lengths, and with them the protocol's framing, stay as they were. The search runs
on whole messages, hence a credential that arrives split over chunks is found too.
"""

from __future__ import annotations

import base64
from urllib.parse import quote

SHORTEST = 8
"""Credentials with fewer bytes are not searched for: they would hit by chance."""


class Scrub:
    """Searches for one credential."""

    def __init__(self, secret: str) -> None:
        self._patterns = _patterns(secret.encode()) if len(secret.encode()) >= SHORTEST else ()

    def __call__(self, data: bytes) -> bytes:
        """The same bytes, or a copy of the same length without the credential."""
        for pattern in self._patterns:
            if pattern in data:
                data = data.replace(pattern, b"x" * len(pattern))
        return data


def _patterns(secret: bytes) -> tuple[bytes, ...]:
    """Raw, hexadecimal, URL-encoded, and base64 at each of the three offsets it may have in a longer text."""
    shifted = []
    for offset in range(3):
        text = base64.b64encode(bytes(offset) + secret).rstrip(b"=")
        whole = text[(offset * 8 + 5) // 6 : len(text) - (1 if (offset + len(secret)) % 3 else 0)]
        shifted += [whole, whole.replace(b"+", b"-").replace(b"/", b"_")]
    forms = [secret, secret.hex().encode(), secret.hex().upper().encode(), quote(secret, safe="").encode(), *shifted]
    return tuple(dict.fromkeys(forms))
