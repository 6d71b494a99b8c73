"""Time and fresh identifiers, passed in so that tests can hold them still."""

from __future__ import annotations

import os
import time
import uuid
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """Where time and randomness come from."""

    def now(self) -> int:
        """Wall clock, microseconds since the Unix epoch."""

    def monotonic(self) -> int:
        """Monotonic clock, microseconds."""

    def session_id(self) -> uuid.UUID:
        """A fresh UUIDv7 (RFC 9562 section 5.7)."""

    def name(self, prefix: str) -> str:
        """A fresh unguessable identifier such as ``ap_3f9c...`` (80 random bits)."""


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The machine's own clocks."""

    def now(self) -> int:
        return time.time_ns() // 1000

    def monotonic(self) -> int:
        return time.monotonic_ns() // 1000

    def session_id(self) -> uuid.UUID:
        stamp = (time.time_ns() // 1_000_000).to_bytes(6, "big")
        rest = bytearray(os.urandom(10))
        rest[0] = 0x70 | (rest[0] & 0x0F)
        rest[2] = 0x80 | (rest[2] & 0x3F)
        return uuid.UUID(bytes=stamp + bytes(rest))

    def name(self, prefix: str) -> str:
        return f"{prefix}_{os.urandom(10).hex()}"
