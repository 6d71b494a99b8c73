"""A WebSocket's server that says anything: whatever arrives at the agent is frames, and every value in them is masked.

Input: a byte that seeds the sizes of pieces, then what the server says once the WebSocket is agreed on.
"""

from __future__ import annotations

import json

from playbook import Watcher
from tidegate.errors import ResourceError
from tidegate.model.operation import Operation, Shape, Transform
from tidegate.model.resource import Field
from tidegate.wire.http_bodies import Bodies
from tidegate.wire.websocket import BINARY, CLOSE, Frames
from unit.wire.http_talking import answer, request, wire
from unit.wire.test_http_tunnel import ASK, KEY, SWITCH

from .target_http import pieces

MASK = b"[masked]"


class Everything(Watcher):
    """Masks every field."""

    def value(self, operation: Operation, field: Field | None, shape: Shape) -> Transform:
        assert operation in self.open and field is not None and shape is Shape.TEXT
        return lambda _: MASK


def heard(data: list[bytes]) -> tuple[bytes, bool]:
    """What the agent sees after the handshake, and whether the server kept to the protocol."""
    bodies = Bodies(lambda _: True, searching=False, binary=False)
    side, results = wire(open=bodies, masked=True, websocket=True), Everything()
    side.feed(request("GET", "/socket", *ASK, KEY))
    asked = side.request()
    assert asked is not None
    results.open.update(asked.operations)
    side.forward(asked)
    side.responses(answer("101 Switching Protocols", *SWITCH, length=False), results)
    shown = b""
    try:
        for piece in data:
            shown += side.responses(piece, results)
    except ResourceError:
        return shown, False
    return shown, True


def leaves(value: object) -> list[object]:
    """Every value in a document."""
    if isinstance(value, dict):
        return [leaf for each in value.values() for leaf in leaves(each)]
    if isinstance(value, list):
        return [leaf for each in value for leaf in leaves(each)]
    return [value]


def target(data: bytes) -> None:
    """What the server says, whole and in pieces."""
    whole, well = heard([data[1:]])
    shown, fine = heard(pieces(data[1:], data[0] if data else 0))
    assert well is fine and (whole == shown or not well), "pieces of another size are another conversation"
    held = b""
    for piece in Frames(ResourceError, masked=False).take(shown):
        assert piece.opcode != BINARY, "what nobody can read is shown"
        if piece.opcode >= CLOSE:
            continue
        held += piece.payload
        if piece.last and held.strip():
            found = leaves(json.loads(held.decode("utf-8", "replace"), strict=False))
            assert all(leaf in (MASK.decode(), None) for leaf in found), f"a value is shown: {held!r}"
        held = b"" if piece.last else held
