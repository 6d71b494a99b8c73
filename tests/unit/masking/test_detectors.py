"""What is found in text, what is not, and what becomes of it."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.masking.detectors import KNOWN, OVERLAP, Detectors, detectors

ALL = Detectors(("pii", "secret"), frozenset(), b"k" * 32)

FOUND = {
    "pii.email": [
        "bob@example.org", "a.b+c@mail.example.co.uk", "x_y%z@sub.domain.museum", "o'neill@example.org"[2:],
        "B0B@EXAMPLE.ORG", "first.last@xn--bcher-kva.example",
    ],
    "pii.card": [
        "4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "5500005555555559", "340000000000009",
        "6011000000000004", "3530111333300000", "30000000000004", "4222222222222", "2221000000000009",
        "4111.1111.1111.1111", "4111\u00a01111\u00a01111\u00a01111",
    ],
    "pii.iban": [
        "DE89370400440532013000", "DE89 3704 0044 0532 0130 00", "GB29 NWBK 6016 1331 9268 19", "NO9386011117947",
        "FR1420041010050500013M02606", "MT84MALT011000012345MTLCAST001S",
    ],
    "pii.ssn": ["123-45-6789", "078-05-1120", "123 45 6789", "899-99-9999"],
    "pii.phone": [
        "+1 415 555 2671", "+14155552671", "(415) 555-2671", "415-555-2671", "415.555.2671", "1-415-555-2671",
        "+49 30 901820", "+44 (20) 7946 0958", "+33 1 42 68 53 00", "+1 (415) 555-2671",
    ],
    "secret.key": [
        "AKIAIOSFODNN7EXAMPLE", "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc", "AIza" + "SyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY",
        "sk-ant-" + "api03-" + "A1b2" * 12, "SG." + "a1B2" * 5 + "." + "c3D4" * 10,
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\n-----END RSA PRIVATE KEY-----",
    ],
    "secret.token": [
        "ghp_" + "a1B2" * 9, "github_pat_" + "11AAAAAAA0" * 3, "glpat-" + "x1Y2" * 5, "xoxb-" + "1234567890-abcdef",
        "npm_" + "a1B2" * 9, "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
        "pypi-" + "AgEIcHlwaS5vcmc" + "a1B2" * 10,
    ],
}  # fmt: skip

CLEAR = [
    "", "hello", "bob at example.org", "@example.org", "bob@", "bob@localhost", "user@@example.org", "a@b.c",
    "4111111111111112", "1234567890123456", "4111 1111 1111 111", "0000000000000000", "4444444444444444"[:12],
    "9111111111111111", "41111111111111111111111", "x4111111111111111", "DE89370400440532013001",
    "XX89370400440532013000",
    "DE8937040044053201300", "000-12-3456", "666-12-3456", "900-12-3456", "123-00-4567", "123-45-0000", "1234-45-6789",
    "123-45-67890", "2024-01-02 12:33:44.123456", "2024-01-02T10:11:12Z", "10.0.0.1", "192.168.100.200", "1.2.3",
    "550e8400-e29b-41d4-a716-446655440000", "12345678", "1234567890", "+1", "+12", "(415)", "115-555-2671",
    "415-155-2671",
    "3.14159265358979", "1,234,567.89", "deadbeefdeadbeefdeadbeef", "AKIA", "AKIAIOSFODNN7EXAMPL", "ghp_short",
    "sk_live_x",
    "eyJhbGciOiJIUzI1NiJ9", "-----BEGIN CERTIFICATE-----", "-----BEGIN PUBLIC KEY-----\nMIIB", "SG.x.y", "npm_install",
    "risk-assessment-of-the-whole-year", "task_live_report_of_the_month",
]  # fmt: skip


@pytest.mark.parametrize(("tag", "text"), [(tag, text) for tag, texts in FOUND.items() for text in texts])
def test_found(tag: str, text: str) -> None:
    """Wherever it stands, whole, under its own tag; and nothing of it is left."""
    assert tag in KNOWN
    for before, behind in (("", ""), ("see ", " please"), ('{"a": "', '"}'), ("\n", "\n"), ("(", ")"), ("a: ", ",")):
        value = (before + text + behind).encode()
        assert ALL.suspicious(value)
        assert [(one.tag, value[one.start : one.end]) for one in ALL.find(value)] == [(tag, text.encode())], value
        masked = ALL(value)
        assert masked.startswith(before.encode() + b"[masked:")
        assert masked.endswith(b"]" + behind.encode())


@pytest.mark.parametrize("text", CLEAR)
def test_clear(text: str) -> None:
    """The very object comes back."""
    value = text.encode()
    assert ALL(value) is value


def test_all_that_is_known_has_examples() -> None:
    """A new kind comes with its own."""
    assert set(FOUND) == set(KNOWN)


@given(st.binary(max_size=200))
def test_whatever_is_there(value: bytes) -> None:
    """It never raises; what is found was suspected; and what is masked has nothing more to find."""
    found = ALL.find(value)
    assert not found or ALL.suspicious(value)
    assert all(one.end <= other.start for one, other in itertools.pairwise(found))
    once = ALL(value)
    assert ALL(once) == once or not found


@given(
    st.lists(st.sampled_from([text for texts in FOUND.values() for text in texts] + CLEAR), max_size=6),
    st.sampled_from(["\n", " ; ", "\t", '","']),
)
def test_values_beside_each_other(values: list[str], between: str) -> None:
    """What is found does not depend on its neighbours."""
    text = between.join(values).encode()
    known = {value.encode() for values in FOUND.values() for value in values}
    for value in values:
        if value.encode() in known:
            assert value.encode() not in ALL(text).split(between.encode())


def test_tags_choose() -> None:
    """Only what is asked for, and not what a grant lifts."""
    text = b"bob@example.org 4111111111111111"
    assert Detectors(("pii.card",), frozenset(), b"k" * 32)(text) == b"bob@example.org [masked:card]"
    assert b"4111" in Detectors(("pii",), frozenset({"pii.card"}), b"k" * 32)(text)
    assert Detectors((), frozenset(), b"k" * 32)(text) is text
    assert detectors((), frozenset(), b"k" * 32) is None
    assert detectors(("pii",), frozenset({"pii"}), b"k" * 32) is None


def test_pseudonyms_are_those_of_tags() -> None:
    """The same address has the same mask, under this resource's key only."""
    first, second = ALL(b"a bob@example.org b bob@example.org").split(b" b ")
    assert first[2:] == second
    assert Detectors(("pii",), frozenset(), b"x" * 32)(b"bob@example.org") != second


def test_json_remains_json() -> None:
    """Also where a number is found outside of quotes."""
    text = b'{"card": 4111111111111111, "mail": "bob@example.org", "n": 12, "s": "x \\" 415-555-2671"}'
    masked = json.loads(ALL.json(text) or b"")
    assert masked["card"] == "[masked:card]"
    assert masked["mail"].startswith("[masked:email")
    assert (masked["n"], masked["s"]) == (12, 'x " [masked:phone]')
    clear = b'{"n": 12}'
    assert ALL.json(clear) is clear


def test_a_key_that_is_cut_is_one() -> None:
    """Its end may be in a piece that comes later."""
    assert ALL(b"-----BEGIN PRIVATE KEY-----\nMIIE") == b"[masked:key]"


def test_no_value_is_longer_than_the_overlap() -> None:
    """Who scans in pieces relies on it."""
    longest = b"-----BEGIN RSA PRIVATE KEY-----" + b"A" * 10_000 + b"-----END RSA PRIVATE KEY-----"
    assert all(one.end - one.start <= OVERLAP for one in ALL.find(longest))


def test_hostile_text_takes_no_time() -> None:
    """A megabyte that begins every expression and ends none."""
    for seed in (b"a.", b"a@", b"1 ", b"+1(", b"eyJ", b"DE12 ", b"-----BEGIN ", b"sk-", b"415-"):
        text = seed * (300_000 // len(seed))
        ALL(text)
