"""One-time codes that people read and type: 130 random bits in base32 groups, such as ``K7QD-...``.

Letters may be typed in either case, with or without dashes and spaces; the alphabet (RFC 4648 section 6) has no 0, 1
and 8. A code is kept together with its purpose, so that it cannot be used up, by mistake or not, for another.
"""

from __future__ import annotations

import base64
import os

_LENGTH, _GROUP = 26, 4


def fresh() -> str:
    """A new code from the system's random source."""
    text = base64.b32encode(os.urandom(20)).decode()[:_LENGTH]
    return "-".join(text[at : at + _GROUP] for at in range(0, _LENGTH, _GROUP))


def kept(code: str, purpose: str) -> str:
    """What the store hashes: purpose and code, the latter in upper case, without dashes and spaces."""
    return purpose + ":" + "".join(code.upper().replace("-", " ").split())
