"""Places of a recipe are filled, and no value becomes more than a value."""

from __future__ import annotations

import pytest

from tidegate.model.recipe import fill, places
from tidegate.model.resource import Address


def test_places_are_filled_once() -> None:
    """What has a value is replaced, what has none stays, and single braces are nobody's."""
    assert fill("{{host}}:{{port}} {host} {{token}}", {"host": "gw", "port": "1"}) == "gw:1 {host} {{token}}"


def test_a_value_is_escaped() -> None:
    """Each character that the file's grammar knows gets a backslash before it."""
    assert fill("{{host}}:*", {"host": "::1\\"}, "\\:") == "\\:\\:1\\\\:*"


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b", "{{token}}", "a\u2028b", "\x1b[2J", "\x85"])
def test_a_value_makes_no_lines_and_no_places(value: str) -> None:
    """A value of a hostile gateway cannot add a line to a file, a place to a text, or steer a terminal."""
    with pytest.raises(ValueError, match="the value for host"):
        fill("{{host}}", {"host": value})


def test_an_address_is_written_as_in_a_url() -> None:
    """IPv6 has brackets in an address, and none as a host."""
    found = places("shop", Address("::1", 6432), "bot")
    assert (found["host"], found["address"]) == ("::1", "[::1]:6432")
