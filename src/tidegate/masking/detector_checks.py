"""Whether digits that look like a number of some kind are one, by that kind's own standard."""

from __future__ import annotations

import re
from typing import Final

IBAN_LENGTHS: Final = {
    name: length
    for length, names in {
        15: "NO", 16: "BE", 18: "DK FI FO GL NL", 19: "MK SI", 20: "AT BA EE KZ LT LU XK", 21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL", 24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST", 26: "IS TR", 27: "BI DJ FR GR IT MC MR SM", 28: "AL AZ BY CY DO GT HU LB NI PL SV",
        29: "BR EG PS QA UA", 30: "JO KW MU YE", 31: "MT SC", 32: "LC", 33: "RU",
    }.items()
    for name in names.split()
}  # fmt: skip
"""Characters of an IBAN by country (SWIFT, IBAN Registry)."""

_DIGITS = re.compile(rb"[^0-9]+")
_BLANKS = re.compile(rb"[ ]|\xc2\xa0")


def card(text: bytes) -> bool:
    """A payment card: an issuer's range and length, and the check digit (ISO/IEC 7812-1, Luhn)."""
    digits = _DIGITS.sub(b"", text)
    return _issued(digits) and len(set(digits)) > 1 and luhn(digits)


def luhn(digits: bytes) -> bool:
    """The check digit of ISO/IEC 7812-1."""
    total = 0
    for place, byte in enumerate(reversed(digits)):
        value = byte - 48
        if place & 1:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return total % 10 == 0


def _issued(digits: bytes) -> bool:
    size, four = len(digits), int(digits[:4])
    if digits[:1] == b"4":
        return size in (13, 16, 19)
    if 5100 <= four <= 5599 or 2221 <= four <= 2720:
        return size == 16
    if digits[:2] in (b"34", b"37"):
        return size == 15
    if 3528 <= four <= 3589 or digits[:2] in (b"62", b"65") or four == 6011 or 6440 <= four <= 6499:
        return 16 <= size <= 19
    if 3000 <= four <= 3059 or digits[:2] in (b"36", b"38", b"39"):
        return 14 <= size <= 19
    return digits[:2] in (b"50", b"56", b"57", b"58", b"63", b"67") and 13 <= size <= 19


def iban(text: bytes) -> bool:
    """The length of the country and the check digits (ISO 13616, ISO 7064 mod 97-10)."""
    plain = _BLANKS.sub(b"", text).decode("ascii")
    if IBAN_LENGTHS.get(plain[:2]) != len(plain):
        return False
    turned = plain[4:] + plain[:4]
    return int("".join(str(int(sign, 36)) for sign in turned)) % 97 == 1


def ssn(text: bytes) -> bool:
    """An area, a group and a serial number that are given out."""
    area, group, serial = text[:3], text[4:6], text[7:]
    return area not in (b"000", b"666") and area < b"900" and group != b"00" and serial != b"0000"


def phone(text: bytes) -> bool:
    """As many digits as a number may have; brackets in pairs (ITU-T E.164)."""
    digits = _DIGITS.sub(b"", text)
    return 7 <= len(digits) <= 15 and text.count(b"(") == text.count(b")") <= 1 and len(set(digits)) > 2
