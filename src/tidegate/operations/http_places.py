"""Which object a request is about: the templates of the API document, those of the options, or the path's own shape."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from .http_options import Options
from .http_paths import Ambiguous, Match, automatic, stem
from .openapi import Operation, Operations

KEPT = 4096
"""Places that are remembered."""

SHORT = 512
"""Characters of their paths."""


@dataclass(frozen=True, slots=True)
class Place:
    """``object`` is method and template, ``also`` what else it may be; ``reason``: why it is unknown what is there."""

    object: str
    template: str
    parameters: tuple[tuple[str, str], ...] = ()
    operation: Operation | None = None
    graphql: bool = False
    also: tuple[str, ...] = ()
    reason: str = ""


class Places:
    """The places of one resource."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._kept: dict[tuple[str, str], Place] = {}

    def find(self, method: str, path: str) -> Place:
        """Where a request to a path in its one spelling goes."""
        place = self._kept.get((method, path))
        if place is None:
            place = self._found(method, path)
            if len(self._kept) >= KEPT:
                self._kept.clear()
            if len(path) <= SHORT:
                self._kept[method, path] = place
        return place

    def _found(self, method: str, path: str) -> Place:
        asked = "GET" if method == "HEAD" else method
        bare = path.rstrip("/") or "/"
        if self._options.any_case:
            bare = bare.lower()
        for known in self._options.graphql:
            if bare == (known.lower() if self._options.any_case else known):
                return Place(f"POST {known}", known, graphql=True)
        try:
            if self._options.api is not None:
                return self._listed(method, asked, self._options.api.paths.find(path), bare)
            match = self._options.paths.find(path)
        except Ambiguous:
            return Place(f"{asked} {bare}", bare, reason="several templates fit its path equally well")
        if match is not None:
            return Place(f"{asked} {match.template}", match.template, match.parameters)
        return self._shaped(asked, bare)

    def _shaped(self, asked: str, bare: str) -> Place:
        template, identifiers = automatic(bare)
        given = tuple(("id", each) for each in identifiers)
        shown = stem(template)
        also = (f"{asked} {template}",) if shown != template else ()
        odd = self._options.any_case is None and unquote(template) != unquote(template).lower()
        reason = "it has capital letters and is in no list: `paths` or `any_case` say what it is" if odd else ""
        return Place(f"{asked} {shown}", shown, given, also=also, reason=reason)

    def _listed(self, method: str, asked: str, match: Match[Operations] | None, bare: str) -> Place:
        if match is None:
            return Place(f"{asked} {bare}", bare, reason="its path is not in the API document")
        operation = match.value.get(method.lower()) or match.value.get(asked.lower())
        reason = "" if operation is not None else "the API document has no such method there"
        return Place(f"{asked} {match.template}", match.template, match.parameters, operation, reason=reason)
