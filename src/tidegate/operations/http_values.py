"""Values in requests as facts: names that ``where`` can speak of, and whatever is sent under each of them.

``user.Role`` in a body is the fact ``body_user_role``. Letters' case, signs and places in lists do not make another
name, since decoders have been found to ignore each of them; so everything that any decoder could take for the value
stands under one name, and a rule that gives must fit all of it. Invariant: nothing is left out. What is too much, or
could be read differently, raises ``Unclear``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NoReturn
from urllib.parse import unquote_to_bytes

from .http_paths import WRONG_ESCAPE

VALUES = 4096
"""Values of one request."""

DEPTH = 32
"""How deep a document may be nested."""

TEXT = 1024
"""Characters of a text that are compared."""

NAME = 256
"""Characters of a name."""

EXACT = 2**53
"""Whole numbers from here on are not the same in every language (RFC 8259 section 6)."""

MASK = "[masked"
"""How a mask begins; masking writes it, and it must be seen through any encoding."""

_SIGNS = re.compile(r"[^a-z0-9]+")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_CONTROL_OR_LINE = re.compile(r"[\x00-\x1f\x7f]")
_NOWHERE = re.compile(r"[\x00\ud800-\udfff]")
_DIGITS = 17
"""Digits that a double keeps."""


class Unclear(Exception):
    """It could be read differently by others; the text says what."""


class Values:
    """Facts by name, each with every value that was sent under it."""

    def __init__(self) -> None:
        self._found: dict[str, dict[tuple[type, object], object]] = {}
        self._count = 0
        self.masks: list[str] = []

    def add(self, name: str, value: object) -> None:
        """One value, a scalar of JSON. Raises Unclear when there are too many."""
        self._count += 1
        if self._count > VALUES:
            raise Unclear("it has more values than are looked at")
        if isinstance(value, str):
            self._look(value)
            value = value if len(value) <= TEXT else value[:TEXT] + "…"
        self._found.setdefault(name, {})[type(value), value] = value  # in JSON true is not 1

    def add_tree(self, name: str, value: object, depth: int = 0) -> None:
        """A document: members add to the name, items do not. Raises Unclear."""
        if depth > DEPTH:
            raise Unclear("it is nested too deeply")
        if isinstance(value, Mapping):
            for key, member in value.items():
                self._look(key)
                self.add_tree(fact(name, key), member, depth + 1)
        elif isinstance(value, list):
            for item in value:
                self.add_tree(name, item, depth + 1)
        else:
            self.add(name, value)

    def _look(self, text: str) -> None:
        if _NOWHERE.search(text):
            raise Unclear("it has characters that end a text elsewhere, or are none")
        if MASK in text:
            self.masks.append(text[:TEXT])

    def facts(self) -> dict[str, object]:
        """Each name with its value, or the list of them."""
        lists = {name: list(found.values()) for name, found in self._found.items()}
        return {name: found[0] if len(found) == 1 else found for name, found in lists.items()}

    def names(self) -> list[str]:
        """The names, in order."""
        return sorted(self._found)


@lru_cache(maxsize=4096)
def fact(*names: str) -> str:
    """The fact of a member: ``body``, ``userId`` is ``body_userid``. Raises Unclear for names that are no names."""
    if any(len(name) > NAME for name in names[1:]):
        raise Unclear("it has a name that is too long")
    # Decoders that ignore letters' case fold them: to some the long s is an s.
    return _SIGNS.sub("_", "_".join(name.casefold() for name in names)).strip("_")


def pairs(query: str, *, lines: bool = False) -> list[tuple[str, str]]:
    """The parameters of a query or an urlencoded form, in order; ``lines``: values may have several. Raises Unclear."""
    if ";" in query:
        raise Unclear("it has a semicolon, which some servers take for the end of a parameter")
    if WRONG_ESCAPE.search(query):
        raise Unclear("it has a percent sign that encodes nothing")
    if not query.isascii():
        raise Unclear("it has characters that must be encoded")
    try:
        found = [_pair(part) for part in query.split("&") if part]
    except UnicodeDecodeError:
        raise Unclear("it has text that is not UTF-8") from None
    control = _CONTROL if lines else _CONTROL_OR_LINE
    if any(control.search(text) for pair in found for text in pair):
        raise Unclear("it has control characters")
    return found


def _pair(part: str) -> tuple[str, str]:
    name, _, value = part.partition("=")
    return _decoded(name), _decoded(value)


def _decoded(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode()


def document(data: bytes) -> object:
    """A JSON document of which there is one reading only. Raises Unclear."""
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise Unclear("the document begins with a byte order mark")
    try:
        value: object = json.loads(
            data.decode(), object_pairs_hook=_members, parse_constant=_constant, parse_int=_whole, parse_float=_real
        )
    except UnicodeError:
        raise Unclear("the document has text that is not UTF-8") from None
    except RecursionError:
        raise Unclear("it is nested too deeply") from None
    except ValueError:
        raise Unclear("the document is not JSON") from None
    return value


def _members(found: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(found)
    if len(members) != len(found):
        raise Unclear("an object has two members of one name")
    return members


def _constant(_word: str) -> NoReturn:
    raise Unclear("the document has a number that is none")


def number(text: str) -> float | int:
    """A number as it is written in JSON. Raises Unclear for one that languages hold differently."""
    return _whole(text) if text.lstrip("-").isdigit() else _real(text)


def _whole(text: str) -> int:
    if len(text) > _DIGITS or abs(int(text)) >= EXACT:
        raise Unclear("the document has a number that not every language can hold")
    return int(text)


def _real(text: str) -> float | int:
    digits = re.sub(r"[eE].*|[^0-9]", "", text).strip("0")
    number = float(text) if len(text) < 64 else float("inf")
    if len(digits) > _DIGITS or abs(number) >= EXACT or (digits and not number):
        raise Unclear("the document has a number that not every language can hold")
    return int(number) if number.is_integer() else number
