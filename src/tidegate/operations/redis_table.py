"""Which commands there are, and where their keys stand: the servers' own table, shipped and pinned.

``data/redis_commands.json`` is made by tools/redis_commands.py from COMMAND of real servers. Key specifications are
read as the server reads them (redis.io, "Key specifications"): where keys begin, and how to find them from there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

MOST: Final = 1 << 20
"""The most keys of one command that are named; the server takes no more arguments than that either."""


@dataclass(frozen=True, slots=True)
class Place:
    """One key specification: ``begin`` and ``find`` as the table has them, ``flags`` such as RO and access."""

    flags: frozenset[str]
    begin: tuple[Any, ...] | None
    find: tuple[Any, ...] | None


@dataclass(frozen=True, slots=True)
class Command:
    """What the table says of one command, or of one subcommand, whose name is two words."""

    name: str
    arity: int
    flags: frozenset[str]
    places: tuple[Place, ...]
    container: bool = False


@dataclass(frozen=True, slots=True)
class Key:
    """A key among the arguments, its index there, and what is done with it."""

    name: bytes
    at: int
    flags: frozenset[str]


class Unclear(Exception):
    """The keys of a command cannot be told from its arguments; the text says why."""


@cache
def table() -> Mapping[str, Command]:
    """Every command by name, in lower case; subcommands as ``config get``."""
    text = resources.files(__package__).joinpath("data", "redis_commands.json").read_text(encoding="utf-8")
    return {
        name: Command(
            name,
            said["arity"],
            frozenset(said["flags"]),
            tuple(_place(spec) for spec in said["keys"]),
            said.get("container", False),
        )
        for name, said in json.loads(text)["commands"].items()
    }


def _place(spec: Mapping[str, Any]) -> Place:
    begin, find = (None if spec[part] is None else tuple(spec[part]) for part in ("begin", "find"))
    return Place(frozenset(spec["flags"]), begin, find)


def named(args: Sequence[bytes]) -> Command | None:
    """The command that these arguments call; ``None`` when the table has none such, nor such a subcommand."""
    name = args[0].decode("latin-1").lower() if args and len(args[0]) <= 64 else ""
    found = table().get(name)
    if found is None or " " in name or not found.container or len(args) < 2:
        return None if " " in name else found
    below = args[1].decode("latin-1").lower() if len(args[1]) <= 64 else ""
    return table().get(f"{name} {below}")


def fits(command: Command, count: int) -> bool:
    """Whether so many arguments, the name included, are as many as the server wants."""
    return count == command.arity if command.arity >= 0 else count >= -command.arity


def keys(command: Command, args: Sequence[bytes]) -> list[Key]:
    """The keys among the arguments, in the order of the specifications. Raises Unclear."""
    found: list[Key] = []
    for place in command.places:
        if place.begin is None or place.find is None:
            raise Unclear("its keys depend on what it finds")
        start = _begin(place.begin, args)
        if start is not None:
            found += [Key(args[at], at, place.flags) for at in _found(place.find, args, start)]
    if len(found) > MOST:
        raise Unclear("it names too many keys")
    return found


def _begin(begin: tuple[Any, ...], args: Sequence[bytes]) -> int | None:
    """Where the keys begin; ``None`` if the keyword that precedes them is not there."""
    if begin[0] == "index":
        return int(begin[1])
    keyword, start = begin[1].encode().upper(), int(begin[2])
    reach = range(start, len(args)) if start >= 0 else range(len(args) + start, 0, -1)
    hits = [at for at in reach if args[at].upper() == keyword]
    if len(hits) > 1:
        # A key, a value or a group may be spelled like the keyword: which of them the server takes, depends on options.
        raise Unclear("one of its words could be a keyword or a value")
    return hits[0] + 1 if hits else None


def _found(find: tuple[Any, ...], args: Sequence[bytes], start: int) -> Iterator[int]:
    if find[0] == "range":
        _, last, step, limit = find
        if last >= 0:
            end = start + last
        else:
            end = len(args) + last
            if last == -1 and limit > 1:
                if (len(args) - start) % limit:
                    raise Unclear("its arguments do not come in pairs")
                end = start + (len(args) - start) // limit - 1
        return _within(range(start, end + 1, step), args)
    _, at, first, step = find
    count = _count(args, start + at)
    begin = start + first
    return _within(range(begin, begin + count * step, step), args)


def _count(args: Sequence[bytes], at: int) -> int:
    """How many keys follow, as the server reads a number: no sign, no space, no zero before it."""
    said = args[at] if at < len(args) else b""
    if not said.isdigit() or len(said) > 7 or (said[:1] == b"0" and said != b"0"):
        raise Unclear("the number of its keys is none")
    return int(said)


def _within(places: range, args: Sequence[bytes]) -> Iterator[int]:
    if places and (places[0] < 1 or places[-1] >= len(args)):
        raise Unclear("it says that there are more keys than arguments")
    return iter(places)
