"""A request's facts, once it is known where it goes.

``Unclear`` in any part makes it unknown; what was understood of it stays among the facts all the same, for people.
"""

from __future__ import annotations

from collections.abc import Callable

from tidegate.model.operation import Facts, Verb
from tidegate.model.resource import Field

from . import http_graphql
from .http_body import FORM, OPAQUE, Media, form, media, tree
from .http_head import Head, readable
from .http_options import Options
from .http_places import Place
from .http_values import MASK, Unclear, Values, fact, pairs

READING = frozenset(("GET", "HEAD", "OPTIONS"))
WRITING = frozenset(("POST", "PUT", "PATCH", "DELETE"))
WHOLE = frozenset(("PUT", "PATCH", "DELETE"))
"""Methods that change all there is at a path."""

OVERRIDES = frozenset(("x-http-method-override", "x-http-method", "x-method-override"))
"""Fields by which servers take another method than the request's."""

DETOURS = frozenset(("x-original-url", "x-original-uri", "x-original-path", "x-rewrite-url", "x-override-url"))
"""Fields by which servers take another path than the request's."""

SOCKET = "sec-websocket-key"
OVERRIDE = "_method"
READ_FIELDS = frozenset(("content-type", "content-encoding", "accept", SOCKET, *OVERRIDES, *DETOURS))
"""Fields that decide what a request does, or are facts in any case."""

SENT = ("query", "body", "argument")
"""Facts that the agent chooses to send: their names are a fact, too."""


def facts(options: Options, head: Head, place: Place, body: bytes | None) -> Facts:
    """What a request to ``place`` does; see ``Site.classify``."""
    return _Request(options, head, place, body).facts()


class _Request:
    def __init__(self, options: Options, head: Head, place: Place, body: bytes | None) -> None:
        self._options = options
        self._head = head
        self._place = place
        self._body = body
        self._values = Values()
        self._reasons = [place.reason] if place.reason else []
        self._methods = {head.method}
        self._filters: list[str] = []
        self._query: dict[str, list[str]] = {}
        self._opaque = False
        self._socket = bool(head.values(SOCKET))
        self._asked: http_graphql.Asked | None = None

    def _try(self, part: str, step: Callable[[], None]) -> None:
        try:
            step()
        except Unclear as error:
            self._reasons.append(f"its {part}: {error}")

    def facts(self) -> Facts:
        if self._head.method not in READING | WRITING:
            self._reasons.append("its method is not known")
        self._try("path", self._given)
        self._try("head", self._fields)
        if self._place.graphql:
            self._try("question", self._ask)
        else:
            self._try("query", self._parameters)
            self._try("body", self._content)
        verbs = sorted({verb for method in self._methods for verb in self._verbs(method)})
        verb = Verb.UNKNOWN if self._reasons else max(verbs, key=_ORDER.index)
        objects = self._objects()
        reads = verb is Verb.READ
        return Facts(
            verb=verb,
            command=self._command(self._head.method),
            text=self._text(),
            reads=objects if reads else (),
            writes=() if reads else objects,
            effect=not reads or not self._harmless(),
            filters=frozenset(Field(name, each) for name in objects for each in self._filters),
            details=self._details(verb, [each.value for each in verbs]),
            reason=self._reasons[0] if self._reasons else "",
        )

    # what it does

    def _verbs(self, method: str) -> list[Verb]:
        if self._socket:
            return [Verb.EXECUTE]  # whatever is said over it
        if self._asked is not None:
            return [Verb.WRITE if kind == "mutation" else Verb.READ for kind in self._asked.kinds]
        if method in READING or (self._safe() and not self._opaque):
            return [Verb.READ]
        return [Verb.WRITE if method in WRITING else Verb.UNKNOWN]

    def _safe(self) -> bool:
        """Whether options or document say that the method changes nothing there."""
        operation = self._place.operation
        if self._head.method in WHOLE or len(self._methods) > 1:
            return False
        listed = self._options.safe.fullmatch(self._place.object) is not None
        return listed or (operation is not None and operation.safe)

    def _harmless(self) -> bool:
        # A body of a GET is looked at by some servers only.
        operation = self._place.operation
        odd = self._head.method in READING and self._body != b"" and not (operation and operation.kinds)
        return self._safe() and not self._opaque and not odd

    def _objects(self) -> tuple[str, ...]:
        others = sorted(self._methods - {self._head.method})
        return (self._place.object, *self._place.also, *(f"{method} {self._place.template}" for method in others))

    def _command(self, method: str) -> str:
        if self._socket:
            return "websocket"
        if self._asked is not None and len(self._asked.kinds) == 1:
            return self._asked.kinds[0]
        return method.lower()

    def _override(self, method: str) -> None:
        if not self._options.override:
            raise Unclear("it asks for another method than its own")
        if method.upper() not in WRITING | READING:
            raise Unclear("it asks for a method that is not known")
        self._methods.add(method.upper())

    # its parts

    def _given(self) -> None:
        for name, value in self._place.parameters:
            self._values.add(fact("param", name), value)

    def _fields(self) -> None:
        for name in ("accept", *sorted(self._options.headers)):
            for value in self._head.values(name):
                self._values.add(fact("header", name), value)
        for name, value in self._head.headers:
            if name in DETOURS:
                raise Unclear("it asks for another path than its own")
            if name in OVERRIDES:
                self._override(value)

    def _parameters(self) -> None:
        operation = self._place.operation
        for name, value in pairs(self._head.query):
            if name.lower() == OVERRIDE:
                self._override(value)
            elif operation is not None and not operation.knows(name):
                raise Unclear("it has a parameter that the API document does not have")
            if fact("query", name) == "query":
                raise Unclear("it has a parameter without a name")
            if operation is not None and name in operation.credentials:
                continue
            self._values.add(fact("query", name), value)
            self._query.setdefault(name, []).append(value)
            self._filters.append(f"query.{name}")

    def _media(self) -> Media | None:
        if any(value.lower() != "identity" for value in self._head.values("content-encoding")):
            raise Unclear("it is in a coding")
        given = self._head.values("content-type")
        if len(given) > 1:
            raise Unclear("it has several Content-Type fields")
        found = media(given[0]) if given else None
        if found is not None:
            self._values.add("header_content_type", found.name)
        return found

    def _content(self) -> None:
        kind = self._media()
        if self._body == b"":
            return
        free = self._options.opaque.fullmatch(self._place.object) is not None
        operation = self._place.operation
        taken = operation is not None and kind is not None and operation.takes(kind.name)
        if operation is not None and not taken and not free:
            raise Unclear("the API document has no such body there")
        if self._body is None or kind is None or kind.kind == OPAQUE:
            self._opaque = True
            if not free and not (taken and kind is not None and kind.kind == OPAQUE):
                raise Unclear("it is of a kind that is not understood; `opaque` allows it where it belongs")
            return
        try:
            self._understood(kind, self._body)
        except Unclear:
            self._opaque = free
            if not free:
                raise

    def _understood(self, kind: Media, body: bytes) -> None:
        if kind.kind == FORM:
            members = form(body, self._values)
        else:
            value = tree(body, self._values, kind.name)
            members = list(value.items()) if isinstance(value, dict) else []
        for name, value in members:
            if name.lower() == OVERRIDE:
                self._override(str(value))

    def _ask(self) -> None:
        if self._body is None:
            raise Unclear("it is not at hand")
        self._asked = http_graphql.read(self._head.method, self._head.query, self._media(), self._body)
        self._filters += [f"argument.{name.partition('_')[2]}" for name in self._asked.arguments.names()]

    # what is said of it

    def _text(self) -> str:
        text = f"{self._head.method} {readable(self._head.target)}"
        masks = [*self._values.masks, *(self._asked.arguments.masks if self._asked is not None else ())]
        if self._asked is not None and self._head.method == "POST":
            text += "\n" + self._asked.text
        return text if not masks or MASK in text else f"{text}\n{masks[0]}"

    def _details(self, verb: Verb, verbs: list[str]) -> dict[str, object]:
        values, place = self._values.facts(), self._place
        if self._asked is not None:
            values |= self._asked.arguments.facts()
        commands = sorted({self._command(method) for method in self._methods})
        details: dict[str, object] = {
            **values,
            "method": self._head.method,
            "path": self._head.path,
            "template": place.template,
            "functions": [place.operation.name] if place.operation is not None and place.operation.name else [],
            "fields": [name for name in sorted(values) if name.partition("_")[0] in SENT],
            "opaque": self._opaque,
            "multi": False,
        }
        if place.operation is not None:
            details["operation"] = place.operation.name
        if self._query:
            details["query"] = {name: given if len(given) > 1 else given[0] for name, given in self._query.items()}
        if self._body:
            details["size"] = len(self._body)
        if len(verbs) > 1 and verb is not Verb.UNKNOWN:
            details["verbs"] = verbs
        if len(commands) > 1:
            details["commands"] = commands
        unbounded = not WHOLE.isdisjoint(self._methods) and "{" not in place.template.rpartition("/")[2]
        if unbounded or verb is not Verb.UNKNOWN:
            details["unbounded"] = unbounded
        return details if self._asked is None else details | _asked_details(self._asked)


_ORDER = [Verb.READ, Verb.WRITE, Verb.EXECUTE, Verb.UNKNOWN]


def _asked_details(asked: http_graphql.Asked) -> dict[str, object]:
    kinds = asked.kinds
    return {
        "functions": sorted(asked.fields),
        "graphql": {"type": kinds, "name": asked.names, "fields": sorted(asked.fields), "aliases": asked.aliases},
        "graphql_type": kinds,
        "graphql_name": asked.names,
        "introspection": asked.introspection,
        "endless": "subscription" in kinds,
        "multi": len(kinds) > 1,
    }
