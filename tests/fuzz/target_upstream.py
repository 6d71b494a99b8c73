"""The upstream's direction: one that lies about everything must not make the gateway show what is masked.

Input: a byte that picks what the agent asked, one that seeds the sizes of pieces, then the upstream's bytes. The field
at ``HIDDEN`` of every result is masked, texts are concealed. Whatever arrives at the agent is read again by a framer of
the test's own: a cell at ``HIDDEN`` is the mask or null, a text is the fixed one, and nothing that holds values comes
for an operation that does not give it.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from struct import unpack_from

from playbook import Watcher, requests
from tidegate.errors import AgentError, ResourceError
from tidegate.model.operation import Column, Operation, Outcome, Transform
from unit.wire.messages import FLUSH, SYNC, bind, close, describe, execute, frame, parse, query, wire

from .server import messages

HIDDEN = 1
MASK = b"[masked]"
TEXT, WRITE = "select x, y from t", "insert into t values ('1', 'hidden')"
READ = parse("", TEXT) + bind() + describe("P") + execute() + SYNC
ASKED = (
    query(TEXT),
    READ,
    parse("a", TEXT) + describe("S", "a") + bind("", "a") + execute() + execute() + SYNC,
    query(f"{TEXT}; {WRITE}; {TEXT}"),
    parse("", TEXT) + bind("p") + execute("p") + FLUSH + execute("p") + close("P", "p") + SYNC,
    query("begin") + query(WRITE) + query("commit") + READ,
    READ + READ + query("select x from t"),
    frame("F", b"1") + SYNC,
    query("copy t to stdout"),
    query("copy t from stdin") + frame("d", b"1\thidden\n") + frame("c") + READ,
    b"",
)
"""What the agent asked; only the ninth and tenth may have an answer of COPY data."""

COPIES = (8, 9)


class Hiding(Watcher):
    """Masks the column at ``HIDDEN`` of every result and conceals every text.

    ``narrow``: a result was described without such a column. What its rows hold is what the upstream says they hold.
    """

    def __init__(self) -> None:
        super().__init__(concealing=True)
        self.narrow = False

    def columns(self, operation: Operation, columns: Sequence[Column]) -> Sequence[Transform | None]:
        assert operation in self.open, "columns of an operation that is over"
        self.narrow = self.narrow or len(columns) <= HIDDEN
        return [(lambda _: MASK) if place == HIDDEN else None for place in range(len(columns))]

    def done(self, operation: Operation, outcome: Outcome) -> None:
        assert operation in self.open, "the end of an operation that was never allowed, or a second end"
        self.open.remove(operation)


def cell(body: bytes, place: int) -> bytes | None:
    """One cell of a row, null if there is none."""
    (count,) = unpack_from(">h", body)
    at = 2
    for number in range(count):
        (length,) = unpack_from(">i", body, at)
        if number == place:
            return body[at + 4 : at + 4 + length] if length >= 0 else None
        at += 4 + max(length, 0)
    return None


def check(shown: bytes, asked: int, *, narrow: bool) -> None:
    """Nothing hidden is in what the agent sees."""
    for tag, body in messages(shown):
        if tag == b"D" and not narrow:
            assert cell(body, HIDDEN) in (None, MASK), f"a masked value is shown: {body!r}"
        elif tag in (b"d", b"H", b"G", b"W", b"c"):
            assert asked in COPIES, f"COPY data answers what is no COPY: {tag!r} {body!r}"
        elif tag in (b"E", b"N"):
            texts = {part[:1]: part[1:] for part in body.split(b"\0") if part}
            assert texts.keys() <= {b"S", b"V", b"C", b"M"} or b"54000" in body, f"a text is shown: {body!r}"
            assert b"withheld" in texts.get(b"M", b"withheld"), f"a text is shown: {body!r}"
        elif tag == b"A":
            assert body[4:].partition(b"\0")[2] in (b"", b"\0"), f"a notification's payload is shown: {body!r}"
        elif tag == b"V":
            assert body == b"\xff\xff\xff\xff", f"a call's result is shown: {body!r}"
    ends = sum(tag == b"Z" for tag, _ in messages(shown))
    assert ends <= 1 + sum(tag in (b"S", b"Q", b"F") for tag, _ in messages(ASKED[asked])), "more ends than batches"


def play(asked: int, pieces: Sequence[bytes]) -> tuple[bytes, bool]:
    """What the agent sees, checked, and whether the session went on to the end."""
    side, results, shown = wire(), Hiding(), b""

    def ask(data: bytes) -> None:
        for request in requests(side, data):
            results.open.update(request.operations)
            side.forward(request)

    well = True
    try:
        ask(ASKED[asked])
        for piece in pieces:
            shown += side.responses(piece, results)
            ask(b"")
    except ResourceError:
        well = False
    except AgentError:
        assert asked in COPIES, "the agent is blamed for what the upstream said"
        well = False
    check(shown, asked, narrow=results.narrow)
    return shown, well


def cut(data: bytes, dice: Random) -> list[bytes]:
    """``data`` in pieces."""
    pieces = []
    while data:
        size = dice.choice((1, 4, 5, 30, 10**6))
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
    if asked not in COPIES:
        assert well is fine and (whole == shown or not well), "pieces of another size are another conversation"
