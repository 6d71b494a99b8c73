"""Which fields of an API's answers are sensitive, as its OpenAPI document says: ``x-tidegate-tag: pii.email``.

The tag stands on a schema, most often on a property's. It becomes a tag of the JSON path at which an answer of the
operation has that value. A schema that is in itself has no end; what is tagged within is tagged at any depth then.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tidegate.model.resource import Field

from .openapi import Api, Part

TAG = "x-tidegate-tag"

TAGS = 4096
"""Tagged fields of one document."""

DEEP = "$."
"""Where a path begins that is of any depth; ``.email`` follows."""

STEPS = 100_000
"""Schemas that are looked into, those that are used often as often."""

_FORM = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*)*")
_PLAIN = re.compile(r"[^.\[\]*]+")
_TOGETHER = ("allOf", "anyOf", "oneOf")


def tags(api: Api) -> dict[Field, str]:
    """The tags of all answers. Raises ConfigError."""
    found: dict[Field, str] = {}
    reader = _Reader(api)
    for (method, path), operation in api.operations.items():
        object = f"{'GET' if method == 'head' else method.upper()} {path}"
        for schema in _answers(api, operation.source):
            for place, tag in reader.tagged(schema):
                found[Field(object, place)] = tag
                if len(found) > TAGS:
                    raise api.document.wrong(f"it has more than {TAGS} tagged fields")
    return found


def _answers(api: Api, operation: Part) -> Iterator[Part]:
    document = api.document
    for answer in document.mapping(operation, "responses").values():
        for content in document.mapping(document.resolved(answer), "content").values():
            if isinstance(content, dict) and content.get("schema"):
                yield content["schema"]


class _Reader:
    def __init__(self, api: Api) -> None:
        self._document = api.document
        self._bearing: dict[int, bool] = {}
        self._steps = 0

    def tagged(self, schema: Part) -> Iterator[tuple[str, str]]:
        """JSON paths of an answer, and their tags."""
        yield from self._walk(schema, "$", ())

    def _walk(self, written: object, place: str, above: tuple[int, ...]) -> Iterator[tuple[str, str]]:
        if not isinstance(written, dict):
            return  # true and false are schemas, too
        schema = self._document.resolved(written)
        if not self._bears(schema) and TAG not in written:
            return
        self._steps += 1
        if self._steps > STEPS:
            raise self._document.wrong("its schemas are too entangled to look for tags in")
        tag = schema.get(TAG, written.get(TAG))
        if tag is not None and place != DEEP:
            yield place, self._checked(tag)
        if id(schema) in above:
            if place == DEEP or place.startswith(DEEP + "."):
                return
            place, above = DEEP, ()
        for step, beneath in self._beneath(schema):
            # An item of a list of lists has no name to be found by.
            further = f"{DEEP}.*" if (place, step) == (DEEP, "[*]") else place + step
            yield from self._walk(beneath, further, (*above, id(schema)))

    def _bears(self, schema: Part) -> bool:
        """Whether there is a tag in the schema: most have none, and need not be walked."""
        if id(schema) not in self._bearing:
            seen: set[int] = set()
            left: list[Part] = [schema]
            found = False
            while left and not found:
                part = left.pop()
                found = TAG in part
                part = self._document.resolved(part)
                found = found or TAG in part
                if id(part) not in seen:
                    seen.add(id(part))
                    left += [each for _, each in self._beneath(part) if isinstance(each, dict)]
            self._bearing[id(schema)] = found
        return self._bearing[id(schema)]

    def _beneath(self, schema: Part) -> Iterator[tuple[str, Any]]:
        """The schemas in a schema, and the step in the path that leads to each."""
        for name, property in self._document.mapping(schema, "properties").items():
            # A name with signs of paths in it cannot be written: any member is tagged then.
            yield (f".{name}" if _PLAIN.fullmatch(str(name)) else ".*"), property
        for name in ("additionalProperties", "unevaluatedProperties"):
            if isinstance(schema.get(name), dict):
                yield ".*", schema[name]
        for property in self._document.mapping(schema, "patternProperties").values():
            yield ".*", property
        if isinstance(schema.get("items"), dict):
            yield "[*]", schema["items"]
        for item in self._document.sequence(schema, "prefixItems"):
            yield "[*]", item
        for name in _TOGETHER:
            for part in self._document.sequence(schema, name):
                yield "", part

    def _checked(self, tag: object) -> str:
        if not isinstance(tag, str) or not _FORM.fullmatch(tag):
            raise self._document.wrong(f"`{TAG}` must be a tag such as pii.email")
        return tag
