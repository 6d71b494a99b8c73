"""One-time passwords by the clock (RFC 6238): six digits that change every thirty seconds.

One step early or late is accepted, for clocks that differ. Each step counts once: whoever uses one moves the
credential's counter to it (section 5.2), so what was read over a shoulder opens nothing.
"""

from __future__ import annotations

import hmac

import pyotp

STEP = 30
SKEW = 1
"""Seconds of a step, and how many steps a clock may be off."""

DIGITS = 6


def fresh() -> str:
    """A new secret of 160 bits in base32 (RFC 4226 section 4, R6)."""
    return pyotp.random_base32(32)


def url(secret: str, name: str, organisation: str) -> str:
    """The ``otpauth`` URL that authenticator applications read as a QR code; it holds the secret."""
    return pyotp.TOTP(secret, digits=DIGITS, interval=STEP).provisioning_uri(name=name, issuer_name=organisation)


def step(secret: str, otp: str, *, now: int, after: int) -> int | None:
    """The step whose password ``otp`` is, if it is later than ``after``; None if there is none.

    ``now`` is in Unix microseconds. All steps are compared, so the time taken does not say which one it was.
    """
    typed = "".join(otp[:32].split())
    totp = pyotp.TOTP(secret, digits=DIGITS, interval=STEP)
    present = now // 1_000_000 // STEP
    found = None
    for each in range(present - SKEW, present + SKEW + 1):
        same = hmac.compare_digest(totp.generate_otp(each).encode(), typed.encode())
        if same and each > after:
            found = each
    return found
