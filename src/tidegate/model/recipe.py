"""Recipes: how native clients are pointed at a resource, as data that each protocol gives in no protocol's words.

A recipe's texts have places such as ``{{host}}``. A credential has a place in a file only, never on a command line or
in the environment, which other processes may see.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from .resource import Address

_PLACE = re.compile(r"\{\{([a-z]+)\}\}")
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029{}]")


@dataclass(frozen=True, slots=True)
class Draft:
    """A file to be: each character of ``escape`` in a value gets a backslash before it."""

    text: str
    escape: str = ""


@dataclass(frozen=True, slots=True)
class Client:
    """A native client: ``argv`` starts it (empty for a library), ``lines`` are for people to copy."""

    name: str
    title: str
    lines: str
    argv: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recipe:
    """What all clients of a protocol read: ``files`` by name, ``environment``; names in ``unset`` would get in the way.

    Places: ``resource``, ``host``, ``port``, ``address`` (both, as in a URL), ``user``, ``directory`` (of the files),
    ``ca`` (path of a PEM file), and in files ``token``. The first client that is installed is the usual one.
    """

    clients: tuple[Client, ...]
    files: Mapping[str, Draft] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()


def places(resource: str, address: Address, user: str) -> dict[str, str]:
    """What is known of the places before there is a directory."""
    return {
        "resource": resource,
        "host": address.host,
        "port": str(address.port),
        "address": str(address),
        "user": user,
    }


def fill(text: str, values: Mapping[str, str], escape: str = "") -> str:
    """``text`` with its places filled; those without a value stay. Raises ValueError for a value of several lines,
    or one that has braces or control characters: no value may make places, lines or files of its own."""

    def value(match: re.Match[str]) -> str:
        found = values.get(match[1])
        if found is None:
            return match[0]
        if _UNFIT.search(found):
            raise ValueError(f"the value for {match[1]} has a control character or a brace")
        return "".join(f"\\{each}" if each in escape else each for each in found)

    return _PLACE.sub(value, text)
