"""One-time codes that people read and type: 130 random bits in base32 groups, such as ``K7QD-...``.

Letters may be typed in either case, with or without dashes and spaces; the alphabet (RFC 4648 section 6) has no 0, 1
and 8. A code is kept together with its purpose, so that it cannot be used up, by mistake or not, for another.
"""

from __future__ import annotations

import base64
import hashlib
import os

_LENGTH, _GROUP = 26, 4


def fresh() -> str:
    """A new code from the system's random source."""
    text = base64.b32encode(os.urandom(20)).decode()[:_LENGTH]
    return "-".join(text[at : at + _GROUP] for at in range(0, _LENGTH, _GROUP))


def kept(code: str, purpose: str) -> str:
    """What the store hashes: purpose and code, the latter in upper case, without dashes and spaces."""
    return purpose + ":" + "".join(code.upper().replace("-", " ").split())


def mark(code: str) -> str:
    """What the log has of a code that was used: its hash, which says nothing of 130 random bits."""
    return hashlib.sha256(kept(code, "used").encode()).hexdigest()[:32]
