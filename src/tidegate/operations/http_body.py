"""What a request's body is, by its Content-Type and never by a guess.

Only JSON and urlencoded forms are understood. Everything else is *opaque*: it may hold anything, so that the request is
unknown unless the resource's options or its API document say that such a body belongs there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .http_values import Unclear, Values, document, fact, pairs

JSON, FORM, OPAQUE = "json", "form", "opaque"

PATCH = "application/json-patch+json"
"""Changes to members by their paths (RFC 6902), which are facts as if they were in the body themselves."""

_TYPE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+)((?:[ \t]*;[ \t]*[^;]*)*)")
_PARAMETER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:\"([^\"\\\\]*)\"|([!#$%&'*+.^_`|~0-9A-Za-z-]+))")
_CHARSETS = frozenset(("utf-8", "utf8", "us-ascii"))


@dataclass(frozen=True, slots=True)
class Media:
    """A media type in lower case, and how a body of it is read."""

    name: str
    kind: str


def media(value: str) -> Media:
    """What a Content-Type field says (RFC 9110 section 8.3). Raises Unclear."""
    found = _TYPE.fullmatch(value)
    if found is None:
        raise Unclear("its Content-Type is no media type")
    name = found[1].lower()
    for part in filter(None, (part.strip(" \t") for part in found[2].split(";"))):
        parameter = _PARAMETER.fullmatch(part)
        if parameter is None:
            raise Unclear("its Content-Type has a parameter that is none")
        charset = (parameter[2] or parameter[3] or "").lower()
        if parameter[1].lower() == "charset" and charset not in _CHARSETS:
            raise Unclear("its text is not in UTF-8")
    if name in ("application/json", "text/json") or name.endswith("+json"):
        return Media(name, JSON)
    return Media(name, FORM if name == "application/x-www-form-urlencoded" else OPAQUE)


def form(data: bytes, values: Values) -> list[tuple[str, str]]:
    """The fields of an urlencoded form, which become facts. Raises Unclear."""
    try:
        found = pairs(data.decode("ascii"), lines=True)
    except UnicodeDecodeError:
        raise Unclear("it has characters that must be encoded") from None
    for name, value in found:
        if name == "_charset_":
            raise Unclear("its text is not in UTF-8")
        values.add(fact("body", name), value)
    return found


def tree(data: bytes, values: Values, kind: str) -> object:
    """A JSON document, whose members become facts. Raises Unclear."""
    value = document(data)
    values.add_tree("body", value)
    if kind == PATCH and isinstance(value, list):
        for change in filter(lambda item: isinstance(item, dict), value):
            steps = [step.replace("~1", "/") for step in str(change.get("path", "")).split("/")]
            values.add_tree(fact("body", *steps), change.get("value"))
    return value
