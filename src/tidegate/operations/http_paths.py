"""Paths of requests: the one spelling that every server reads alike, and the templates that they are instances of.

What servers, proxies and frameworks have been found to read differently has no such spelling and is refused: encoded
slashes and backslashes, segments of dots in any encoding, empty segments, path parameters (``;``), control characters,
UTF-8 that is not well-formed, double encoding, characters that compatibility folding turns into one of these.
Source: RFC 3986 sections 3.3 and 6.2.2, Unicode Standard Annex 15.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import quote, unquote, unquote_to_bytes

LONGEST = 8192
"""Characters of a target."""

SEVERAL = 128
"""Characters of a segment that is taken apart into several parameters."""

_SAFE = "!$&'()*+,=:@~"
"""What stands for itself in a segment, beside letters, digits and ``-._`` (RFC 3986: pchar without the semicolon)."""

_PLAIN = re.compile(r"/|(?:/[A-Za-z0-9_-][A-Za-z0-9._~-]*)+/?")
_TARGET = re.compile(r"[\x21\x22\x24-\x7e]+")
WRONG_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_TWICE = re.compile(r"%(?:[0-9A-Fa-f]{2}|[uU][0-9A-Fa-f]{4})")
_SPECIAL = r"/\;.%?#"
_IDENTIFIER = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|(?=[A-Fa-f]*[0-9])[0-9A-Fa-f]{16,}")
_ENDING = re.compile(r"(?<=[^/])(?:\.[A-Za-z0-9]{1,16})+$")
_PARAMETER = re.compile(r"\{([^{}/]{1,64})\}")

T = TypeVar("T")


def normalised(target: str) -> str | None:
    """The target in its one spelling, the query as it is; None when servers could read it differently."""
    if len(target) > LONGEST or not target.startswith("/") or not _TARGET.fullmatch(target):
        return None
    path, mark, query = target.partition("?")
    spelt = path if _PLAIN.fullmatch(path) else _spelt(path)
    return None if spelt is None else spelt + mark + query


def _spelt(path: str) -> str | None:
    if WRONG_ESCAPE.search(path):
        return None
    *segments, last = path[1:].split("/")
    spelt = [_segment(segment) for segment in (*segments, *([last] if last else []))]
    if not spelt or any(segment is None for segment in spelt):
        return None
    return "/" + "/".join(map(str, spelt)) + ("" if last else "/")


def _segment(raw: str) -> str | None:
    try:
        text = unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        return None
    if not text.strip(". ") or not text.isprintable() or _TWICE.search(text) or any(sign in text for sign in "/\\;"):
        return None
    folded = unicodedata.normalize("NFKC", text)
    if any(folded.count(sign) > text.count(sign) for sign in _SPECIAL):
        return None
    return quote(text, safe=_SAFE)


def automatic(path: str) -> tuple[str, list[str]]:
    """The template of a path that no list has, and its identifiers.

    Every segment is one that does not begin as a name does: servers take ``+7``, ``7.0`` and ``0x7`` for 7, too.
    """
    segments = segments_of(path)
    found = [unquote(segment) for segment in segments if _identifies(segment)]
    return "/" + "/".join("{id}" if _identifies(each) else each for each in segments), found


def _identifies(segment: str) -> bool:
    text = unquote(segment)
    named = not text or text[0].isalpha() or text[0] in "._@~"
    return not named or text[:4].lower() == "urn:" or _IDENTIFIER.fullmatch(text) is not None


def stem(template: str) -> str:
    """A template without the ending of its last name: some servers take ``/users.json`` for ``/users``."""
    return _ENDING.sub("", template)


def segments_of(path: str) -> list[str]:
    """The segments of a path; a slash at its end makes no other resource."""
    return path.strip("/").split("/")


class Ambiguous(Exception):
    """Several templates fit, none of them better than all others; or nobody can say whether one does."""


@dataclass(slots=True)
class _Node(Generic[T]):
    literal: dict[str, _Node[T]] = field(default_factory=dict)
    patterns: list[tuple[re.Pattern[str], tuple[str, ...], int, _Node[T]]] = field(default_factory=list)
    leaf: tuple[str, T] | None = None


@dataclass(frozen=True, slots=True)
class Match(Generic[T]):
    """A template that fits, what belongs to it, its parameters, and how literal each of its segments is."""

    template: str
    value: T
    parameters: tuple[tuple[str, str], ...]
    literal: tuple[int, ...]


class Templates(Generic[T]):
    """Templates such as ``/users/{id}``, each with something that belongs to it.

    A template that is literal where others have parameters counts before them. ``fold``: letters' case is no matter.
    """

    def __init__(self, *, fold: bool = False) -> None:
        self._root: _Node[T] = _Node()
        self._fold = fold

    def add(self, template: str, value: T) -> None:
        """Raises ValueError for what is no template, or one that fits the same paths as an earlier one."""
        if not template.startswith("/") or "//" in template or any(sign in template for sign in "?#;\\"):
            raise ValueError(f"`{template}` is no path such as /users/{{id}}")
        node = self._root
        for segment in segments_of(template):
            node = self._step(node, segment)
        if node.leaf is not None:
            raise ValueError(f"`{template}` fits the same paths as `{node.leaf[0]}`")
        node.leaf = (template.rstrip("/") or "/", value)

    def _step(self, node: _Node[T], segment: str) -> _Node[T]:
        names = tuple(_PARAMETER.findall(segment))
        pieces = [quote(unquote(piece), safe=_SAFE) for piece in _PARAMETER.split(segment)[::2]]
        if self._fold:
            pieces = [piece.lower() for piece in pieces]
        if "{" in _PARAMETER.sub("", segment) or "}" in _PARAMETER.sub("", segment) or len(names) > 3:
            raise ValueError(f"`{segment}` is no segment such as {{id}}")
        if not names:
            return node.literal.setdefault(pieces[0], _Node())
        source = "(.+)".join(map(re.escape, pieces))
        for pattern, _, _, beneath in node.patterns:
            if pattern.pattern == source:
                return beneath
        made: _Node[T] = _Node()
        node.patterns.append((re.compile(source, re.IGNORECASE if self._fold else 0), names, int(any(pieces)), made))
        return made

    def find(self, path: str) -> Match[T] | None:
        """The best template for a path in its one spelling. Raises Ambiguous."""
        found = list(self._search(self._root, segments_of(path), (), ()))
        best = [match for match in found if all(_before(match, other) for other in found if other is not match)]
        if found and len(best) != 1:
            raise Ambiguous
        return best[0] if best else None

    def _search(
        self, node: _Node[T], left: Sequence[str], given: tuple[tuple[str, str], ...], literal: tuple[int, ...]
    ) -> Iterator[Match[T]]:
        if not left:
            if node.leaf is not None:
                yield Match(*node.leaf, given, literal)
            return
        segment, *rest = left
        exact = node.literal.get(segment.lower() if self._fold else segment)
        if exact is not None:
            yield from self._search(exact, rest, given, (*literal, 2))
        for pattern, names, mixed, beneath in node.patterns:
            if len(names) > 1 and len(segment) > SEVERAL:
                raise Ambiguous
            fit = pattern.fullmatch(segment)
            if fit is not None:
                values = tuple(zip(names, map(unquote, fit.groups()), strict=True))
                yield from self._search(beneath, rest, given + values, (*literal, mixed))


def _before(one: Match[T], other: Match[T]) -> bool:
    pairs = list(zip(one.literal, other.literal, strict=True))
    return all(mine >= its for mine, its in pairs) and any(mine > its for mine, its in pairs)


def glob(patterns: Iterable[str]) -> re.Pattern[str]:
    """What fits any of these patterns, in which ``*`` is any run of characters."""
    sources = [".*".join(map(re.escape, re.split(r"\*+", pattern))) for pattern in patterns]
    return re.compile("|".join(sources) if sources else r"(?!)", re.DOTALL)
