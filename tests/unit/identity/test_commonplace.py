"""Which passwords anybody would try first."""

from __future__ import annotations

import pytest

from tidegate.identity.commonplace import commonplace


@pytest.mark.parametrize(
    "password",
    [
        "password1234",
        "Passw0rd2024!",
        "P@$$w0rd1234",
        "passwordpassword",
        "123456789012",
        "qwertyuiop12",
        "qwertyqwerty",
        "1qaz2wsx3edc",
        "letmein123456",
        "iloveyou1234",
        "aaaaaaaaaaaa",
        "abcabcabcabc",
        "administrator1",
        "Welcome-2026-Welcome",
        "correcthorsebatterystaple",
        "summer!winter!",
        "alice-2026-alice",
        "password-alice-1",
    ],
)
def test_common(password: str) -> None:
    """Common words, keys side by side, years, repetitions, one's own name, and mixes of them."""
    assert commonplace(password, "alice")


@pytest.mark.parametrize(
    "password", ["river anvil 91 sparrow", "kT9#vLq2zR!mXw", "my dog ate the summer flower", "zvqkxwjthgpd"]
)
def test_uncommon(password: str) -> None:
    """Words that nobody expects together, and random letters."""
    assert not commonplace(password, "alice")


def test_long_passwords_take_no_longer_than_they_should() -> None:
    """The longest password of common parts is taken apart at once, without trying every way."""
    assert commonplace("password1" * 28)
