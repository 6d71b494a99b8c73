"""Redis, the upstream's direction: one that lies about everything must not make the gateway show what is masked.

Input: a byte that picks what the agent asked, one that seeds the sizes of pieces, then the upstream's bytes. Every
value of every field is masked. What arrives at the agent is read again by a reader of the test's own: where a reply
holds nothing but values, each string in it is the mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from playbook import requests
from tidegate.errors import ResourceError
from tidegate.model.operation import Operation, Shape, Transform
from tidegate.model.resource import Field
from unit.wire.redis_talking import Masker, command, wire

MASK = b"[masked]"
ASKED = (
    ("GET u",), ("HGETALL u",), ("HMGET u a b",), ("MGET u v",), ("LRANGE u 0 -1",), ("HSCAN u 0",),
    ("ZRANGE u 0 -1 WITHSCORES",), ("XRANGE u - +",), ("XREAD STREAMS u 0",), ("BLPOP u 0",), ("ZMPOP 1 u MIN",),
    ("SINTER u v",), ("MULTI", "GET u", "HGETALL u", "EXEC"), ("SUBSCRIBE u v", "GET u"), ("XAUTOCLAIM u g c 0 0",),
    ("SELECT 1", "GET u"), ("HRANDFIELD u 2 WITHVALUES",), ("EVAL x 0",), (),
)  # fmt: skip


class Hiding(Masker):
    """Masks whatever it is asked about."""

    def value(self, operation: Operation, field: Field | None, shape: Shape) -> Transform | None:
        return lambda _: MASK if shape is Shape.TEXT else None


def leaves(data: bytes) -> list[tuple[bytes, bytes]]:
    """Type and content of every leaf; what is not whole at the end is left out."""
    found, at = [], 0
    while (stop := data.find(b"\r\n", at)) >= 0:
        kind, said = data[at : at + 1], data[at + 1 : stop]
        at = stop + 2
        if kind in (b"$", b"=", b"!") and said != b"-1":
            found.append((kind, data[at : at + int(said)]))
            at += int(said) + 2
        elif kind not in (b"*", b"%", b"~", b">"):
            found.append((kind, said))
    return found


def play(asked: int, pieces: Sequence[bytes]) -> tuple[bytes, bool]:
    """What the agent sees, and whether the session went on to the end."""
    side, results, shown = wire(500, protocol=2 + asked % 2), Hiding(concealing=True), b""
    try:
        for words in ASKED[asked]:
            for request in requests(side, command(*words.split())):
                if request.own is None:
                    results.open.update(request.operations)
                    side.forward(request)
        for piece in pieces:
            shown += side.responses(piece, results)
    except ResourceError:
        return shown, False
    return shown, True


def check(shown: bytes, asked: int) -> None:
    """Nothing hidden is in what the agent sees, unless the server says that it is no value."""
    if b">" in shown:
        return  # names of channels and keys show
    if ASKED[asked] and ASKED[asked][0].split()[0] in ("GET", "LRANGE", "MGET", "HMGET", "SINTER", "ZRANGE"):
        for kind, said in leaves(shown):
            assert kind in (b"_", b"-", b"+") or said in (MASK, b"-1"), f"a masked value is shown: {kind!r} {said!r}"
            assert kind != b"-" or b"the text is withheld" in said or b"(code " in said or b"code limit." in said


def cut(data: bytes, dice: Random) -> list[bytes]:
    """``data`` in pieces."""
    pieces = []
    while data:
        size = dice.choice((1, 2, 5, 30, 10**6))
        pieces.append(data[:size])
        data = data[size:]
    return pieces


def target(data: bytes) -> None:
    """The upstream's bytes, whole and in pieces."""
    if len(data) < 2:
        return
    asked = data[0] % len(ASKED)
    whole, well = play(asked, [data[2:]])
    shown, fine = play(asked, cut(data[2:], Random(data[1])))
    for each in (whole, shown):
        check(each, asked)
    assert well is fine and (whole == shown or not well), "pieces of another size are another conversation"
