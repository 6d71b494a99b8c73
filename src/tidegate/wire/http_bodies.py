"""How the body of an answer is read: unpacked, and masked by the fields of the request's object.

A field has its name from the request, ``GET /users/{id}``, and from where it stands in the body, ``$.email``; where the
request gave it another name for the answer, both names count.
"""

from __future__ import annotations

from collections.abc import Callable

from tidegate.errors import ResourceError
from tidegate.model.operation import Results, Shape, Transform
from tidegate.model.resource import Field

from .body import Body, body
from .http_head import Head
from .http_talk import Exchange

NOWHERE = "$"
"""The path of what is no field of its own."""


class Bodies:
    """Implements ``http_responses.Open``.

    ``tagged`` says of an object whether fields of its answers may have masks; ``searching``: text without a tag is
    searched. ``binary``: what nobody can read passes.
    """

    def __init__(self, tagged: Callable[[str], bool], *, searching: bool, binary: bool) -> None:
        self._tagged = tagged
        self._searching = searching
        self._binary = binary

    def __call__(self, head: Head, exchange: Exchange, results: Results) -> Body | None:
        """What reads the body; None when it passes as it is. Raises ResourceError for one that must not pass."""
        media = (head.get(b"content-type") or b"").decode("latin-1")
        coding = b",".join(head.members(b"content-encoding")).decode("latin-1")
        return self._made(media, coding, exchange, results)

    def message(self, media: str, exchange: Exchange, results: Results) -> Body | None:
        """The same for a message of a WebSocket."""
        return self._made(media, "", exchange, results)

    def _made(self, media: str, coding: str, exchange: Exchange, results: Results) -> Body | None:
        def look(path: str) -> Transform | None:
            return _look(path, exchange, results)

        found = body(
            media,
            coding,
            look,
            self._scan(exchange, results),
            tagged=self._tagged(exchange.template),
            binary=self._binary,
        )
        if found is None and coding.lower().strip() not in ("", "identity") and not self._binary:
            raise ResourceError(
                "the answer is packed in a way that cannot be undone",
                hint="Ask an operator: the server must answer a request for `identity` without a coding.",
                code="resource.coding",
            )
        return found

    def _scan(self, exchange: Exchange, results: Results) -> Transform | None:
        """What searches text that has no name."""
        if not self._searching:
            return None
        found = results.value(exchange.operation, Field(exchange.template, NOWHERE), Shape.TEXT)
        return found if searches(found) else None


def searches(mask: Transform | None) -> bool:
    """Whether this looks for values rather than replacing them all."""
    return hasattr(mask, "suspicious")


def _look(path: str, exchange: Exchange, results: Results) -> Transform | None:
    field = exchange.field(path)
    found = results.value(exchange.operation, Field(exchange.template, field), Shape.TEXT)
    if field != path and (found is None or searches(found)):
        return results.value(exchange.operation, Field(exchange.template, path), Shape.TEXT)
    return found
