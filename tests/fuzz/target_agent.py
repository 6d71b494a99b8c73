"""The agent's direction: whatever an agent sends, however cut, only what was allowed runs, and the stream is in step.

Input: two bytes that seed all chances (what people answer, sizes of pieces, who is first), then the agent's bytes.
"""

from __future__ import annotations

from .relayed import Bench
from .server import Server, frame, messages

END = frame(b"S") * 2 + frame(b"Q", b"rollback\0") + frame(b"Q", b"select end\0")
"""What follows every input, so that each reply comes: without a Sync the server need not answer."""

LAST = (b"D", b"\0\1\0\0\0\nselect end")
"""A row of the end's answer. It does not come when the end was taken for the rest of a message."""


def seen(data: bytes) -> list[tuple[bytes, bytes]]:
    """What an agent sees, errors reduced to their SQLSTATE; notices are no answers."""
    return [(tag, code(body) if tag == b"E" else body) for tag, body in messages(data) if tag != b"N"]


def code(body: bytes) -> bytes:
    """The severity and SQLSTATE of an error."""
    fields = {part[:1]: part[1:] for part in body.split(b"\0") if part}
    return fields.get(b"V", b"") + b" " + fields.get(b"C", b"")


def target(data: bytes) -> None:
    """The agent's bytes through the relay, beside the same bytes said directly."""
    said = data[2:] + END
    patient = bool(data[:1]) and data[0] < 128
    direct = Server(refuses=lambda text: "refuse" in text or ("hold" in text and not patient))
    direct.feed(said)
    expected = seen(direct.said)
    bench = Bench(int.from_bytes(data[:2], "big"), patient=patient).play(said)
    found = seen(bench.shown)
    if bench.reason == "quiet" and LAST in expected:
        assert found == expected, (found, expected)
        assert bench.server.committed == direct.committed, "something else was done"
        assert not bench.wire.pending, "a reply is still due"
        return
    # A goodbye or a garbled message overtakes answers; without the rest of its last message a batch has no end.
    assert bench.reason in ("quiet", "agent_left", "agent_failed", "resource_failed"), bench.reason
    told = found[:-1] if found and found[-1][1].startswith(b"FATAL") else found
    assert told == expected[: len(told)], (told, expected)
