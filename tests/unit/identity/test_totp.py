"""One-time passwords: the vectors of RFC 6238, and each step once."""

from __future__ import annotations

import base64

import pyotp
import pytest

from tidegate.identity import totp

SECRET = base64.b32encode(b"12345678901234567890").decode()
"""The secret of RFC 6238 appendix B, whose values have eight digits; ours are their last six."""


@pytest.mark.parametrize(
    ("second", "otp"), [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")]
)
def test_vectors(second: int, otp: str) -> None:
    """RFC 6238 appendix B, SHA-1."""
    assert totp.step(SECRET, otp, now=second * 1_000_000, after=0) == second // 30


def test_one_step_off_is_accepted_and_no_more() -> None:
    """A clock may be thirty seconds off in either direction."""
    now, own = 1_800_000_000, pyotp.TOTP(SECRET)
    found = [totp.step(SECRET, own.at(now + 30 * off), now=now * 1_000_000, after=0) for off in range(-2, 3)]
    step = now // 30
    assert found == [None, step - 1, step, step + 1, None]


def test_each_step_counts_once() -> None:
    """Nothing at or before the last step that was used."""
    now = 1_800_000_000
    otp = pyotp.TOTP(SECRET).at(now)
    assert totp.step(SECRET, otp, now=now * 1_000_000, after=now // 30) is None
    assert totp.step(SECRET, otp, now=now * 1_000_000, after=now // 30 - 1) == now // 30


@pytest.mark.parametrize("typed", ["", "12345", "1234567", "abcdef", "١٢٣٤٥٦", "9" * 10_000])
def test_what_is_none_is_none(typed: str) -> None:
    """Whatever is typed."""
    assert totp.step(SECRET, typed, now=1_800_000_000_000_000, after=0) is None


def test_spaces_do_not_matter() -> None:
    """Applications show six digits as two groups."""
    assert totp.step(SECRET, "287 082", now=59_000_000, after=0) == 1


def test_secret_is_fresh_and_its_url_names_both_sides() -> None:
    """160 bits; the URL is what authenticator applications read."""
    one, two = totp.fresh(), totp.fresh()
    assert one != two
    assert len(base64.b32decode(one)) == 20
    parsed = pyotp.parse_uri(totp.url(one, "alice", "example.org"))
    assert (parsed.secret, parsed.name, parsed.issuer) == (one, "alice", "example.org")
