"""What an HTTP request does: its object, its verb, and the facts that policy looks at.

The object is method and path template, ``GET /users/{id}``; the answer's fields are tagged under it. HEAD is asked of
the object of GET, and everything of GraphQL is one object, ``POST /graphql``. A request is unknown if any part of it
that may decide what it does could be read differently by the upstream: the words are in ``Facts.reason``.

Invariants: nothing is proven harmless unless the options or the API document say so (rule 1 of the design); the path
that is judged is the one that is forwarded; no credential becomes a fact. Sources: RFC 9110, RFC 3986.
"""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.errors import AgentError
from tidegate.model.operation import Facts
from tidegate.model.resource import Field

from . import http_options
from .http_body import OPAQUE, media
from .http_facts import READ_FIELDS, facts
from .http_graphql import original as original
from .http_head import Head as Head
from .http_head import encoded
from .http_head import head as head
from .http_options import KEYS as KEYS
from .http_options import Options
from .http_paths import normalised as normalised
from .http_places import Places
from .http_values import Unclear

KEPT = 1024
"""Requests whose facts are remembered."""

SHORT = 2048
"""Bytes of a target and of a body that are remembered with them."""


class Site:
    """What one resource's requests do. Synchronous and pure; facts of the same request are the same object."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._places = Places(options)
        self._looked_at = READ_FIELDS | options.headers
        self._kept: dict[tuple[object, ...], Facts] = {}

    @property
    def digest(self) -> bytes:
        """Another whenever requests are understood otherwise."""
        return self._options.digest

    @property
    def tags(self) -> Mapping[Field, str]:
        """Fields of answers that the API document says are sensitive."""
        return self._options.tags

    def template(self, head: Head) -> str:
        """The object of a request, under which fields of its answer are tagged."""
        return self._places.find(head.method, head.path).object

    def wants_body(self, head: Head) -> bool:
        """Whether what the request does depends on its body: then all of it must be at hand."""
        place = self._places.find(head.method, head.path)
        if place.graphql:
            return True
        if self._options.opaque.fullmatch(place.object) is not None:
            return False
        given = head.values("content-type")
        try:
            return len(given) == 1 and media(given[0]).kind != OPAQUE
        except Unclear:
            return False

    def classify(self, head: Head, body: bytes | None) -> Facts:
        """What the request does; ``body`` is empty where there is none, None where it is not at hand."""
        if len(head.target) > SHORT or (body is not None and len(body) > SHORT):
            return facts(self._options, head, self._places.find(head.method, head.path), body)
        fields = tuple(item for item in head.headers if item[0] in self._looked_at)
        key = (head.method, head.target, fields, body)
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= KEPT:
                self._kept.clear()
            found = self._kept[key] = facts(self._options, head, self._places.find(head.method, head.path), body)
        return found

    def read(self, text: str) -> tuple[Facts, ...]:
        """What a request does that is written as people read it: method and target, its JSON or GraphQL below."""
        line, _, body = text.strip().partition("\n")
        method, _, target = line.partition(" ")
        graphql = body and not body.lstrip().startswith(('{"', "["))
        fields = [("Content-Type", "application/graphql" if graphql else "application/json")] if body else []
        try:
            asked = head(method, encoded(target.strip()), fields)
        except AgentError:
            return ()
        return (self.classify(asked, body.encode(errors="replace")),)

    def renamed(self, facts: Facts) -> Mapping[str, str]:
        """Paths in the answer that are under another name than the field's, and the fields' paths; see ``original``."""
        asked = facts.details.get("graphql")
        found = asked.get("aliases") if isinstance(asked, dict) else None
        return found if isinstance(found, dict) else {}


def site(options: Mapping[str, object], base: str = "") -> Site:
    """What a resource's options say; files are relative to ``base``. Raises ConfigError."""
    return Site(http_options.read(options, base))
