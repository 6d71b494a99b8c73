"""Check digits, lengths and ranges."""

from __future__ import annotations

import pytest

from tidegate.masking.detector_checks import IBAN_LENGTHS, card, iban, luhn, phone, ssn


def test_luhn_catches_every_single_slip() -> None:
    """A digit changed, wherever, is seen (ISO/IEC 7812-1)."""
    good = b"4111111111111111"
    assert luhn(good)
    for at in range(len(good)):
        for digit in b"0123456789":
            slip = good[:at] + bytes([digit]) + good[at + 1 :]
            assert luhn(slip) is (slip == good)


@pytest.mark.parametrize(
    ("text", "issued"),
    [
        (b"4111111111111111", True), (b"411111111111116", False), (b"2720990000000007", True),
        (b"2721000000000000", False), (b"371449635398431", True), (b"3714496353984312", False),
        (b"6304000000000000", True), (b"7111111111111111", False), (b"5555555555555555", False),
    ],
)  # fmt: skip
def test_ranges(text: bytes, issued: bool) -> None:
    """Only what an issuer gives out, in its length."""
    assert card(text) is issued


def test_ibans() -> None:
    """Length by country, and mod 97."""
    assert iban(b"GB29 NWBK 6016 1331 9268 19")
    assert not iban(b"GB28NWBK60161331926819")
    assert not iban(b"GB29NWBK601613319268190")
    assert not iban(b"ZZ29NWBK60161331926819")
    assert len(IBAN_LENGTHS) > 75


def test_numbers_that_are_never_given_out() -> None:
    """Areas, groups and serial numbers of zero, and 666, and from 900 on."""
    assert ssn(b"123-45-6789")
    assert not any(map(ssn, (b"000-45-6789", b"666-45-6789", b"900-45-6789", b"123-00-6789", b"123-45-0000")))


def test_phones() -> None:
    """Too few, too many, or one digit only is none."""
    assert phone(b"+49 30 901820")
    assert not any(map(phone, (b"+49 30", b"+1234567890123456", b"+11 111 1111", b"+1 (415 555 2671")))
