"""Both directions of HTTP: llhttp, another reader, must make the same of what leaves the gateway.

``agent``: whatever an agent sends, however cut, what goes upstream are exactly the requests that were judged, with the
gateway's credential and never the agent's. ``upstream``: whatever an upstream answers, the agent sees at most one
answer to each request, with the masked field masked. Input: a byte that seeds the sizes of pieces, then the bytes.
"""

from __future__ import annotations

from random import Random

import httptools

from playbook import Watcher
from tidegate.errors import AgentError, ResourceError
from tidegate.model.verdict import Refuse
from tidegate.wire.http import HttpWire
from unit.wire.http_talking import SECRET, TOKEN, answer, request, wire

HIDDEN = b"hidden"
ASKS = (request("GET", "/a"), request("HEAD", "/b"), request("PUT", "/c", body=b"x"), request("GET", "/d"))


class Reader:
    """What llhttp reads of one side."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.fields: list[tuple[bytes, bytes]] = []
        self.whole = 0

    def on_message_begin(self) -> None:
        self.bodies.append(b"")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value))

    def on_body(self, data: bytes) -> None:
        self.bodies[-1] += data

    def on_message_complete(self) -> None:
        self.whole += 1


def pieces(data: bytes, seed: int) -> list[bytes]:
    """``data`` in pieces."""
    dice, found = Random(seed), []
    while data:
        size = dice.choice((1, 2, 7, 60, 10**6))
        found.append(data[:size])
        data = data[size:]
    return found


class Agent:
    """An agent's connection, before an upstream that answers every request at once."""

    def __init__(self) -> None:
        self.wire: HttpWire = wire(limit=2000)
        self.results = Watcher()
        self.up = self.down = b""
        self.judged: list[str] = []
        self.fault = ""

    def say(self, data: bytes) -> None:
        """Say something and take what comes of it."""
        try:
            self.wire.feed(data)
            self._take()
        except AgentError as error:
            self.fault = error.code
            self.down += self.wire.goodbye(Refuse(error.code, "tidegate", error.message))

    def _take(self) -> None:
        while (asked := self.wire.request()) is not None and not asked.farewell:
            if asked.own is not None:
                continue
            head = asked.raw.partition(b"\r\n\r\n")[0] if asked.operations else b""
            assert TOKEN.encode() not in head, "the token is recorded"
            if asked.operations and "refuse" in asked.operations[0].facts.text:
                self.wire.refuse(asked, Refuse("policy.refused", "no", "no"))
                continue
            self.judged += [operation.facts.text for operation in asked.operations]
            self.results.open.update(asked.operations)
            said = self.wire.forward(asked)
            self.up += said
            assert asked.shown is None or (SECRET not in asked.shown and len(asked.shown) == len(said))
            if self.wire.waiting or self.wire.request() is None:
                self._answer()

    def _answer(self) -> None:
        if self.wire.pending and self.wire.waiting and not self.wire.over:
            self.down += self.wire.responses(answer(body=b"ok" if "HEAD" not in self.judged[-1] else b""), self.results)


def agent(data: bytes) -> None:
    """The agent's bytes, whole and in pieces."""
    whole, cut = Agent(), Agent()
    whole.say(data[1:])
    for piece in pieces(data[1:], data[0] if data else 0):
        if not cut.fault:
            cut.say(piece)
    assert cut.judged[: len(whole.judged)] == whole.judged[: len(cut.judged)], "pieces of another size ask for others"
    for side in (whole, cut):
        reader = Reader()
        httptools.HttpRequestParser(reader).feed_data(side.up)
        assert len(reader.bodies) == len(side.judged), (reader.bodies, side.judged)
        carried = [value for name, value in reader.fields if name == b"authorization"]
        assert carried == [b"Bearer " + SECRET] * len(side.judged), "another credential goes upstream"


def heard(data: list[bytes]) -> tuple[bytes, int]:
    """What the agent sees of these answers, and how many it asked for."""
    masks = {f"{method} {path}.header.x-user": lambda _: b"masked" for method, path in (("GET", "/a"), ("GET", "/d"))}
    side, results, shown, asks, left = wire(masked=True), Watcher(masks=masks), b"", 0, list(ASKS)

    def ask() -> None:
        nonlocal asks
        if left and side.between and not side.over:
            side.renewed()
            side.feed(left.pop(0))
            asked = side.request()
            if asked is not None and not asked.farewell:
                results.open.update(asked.operations)
                side.forward(asked)
                asks += 1
                side.request()

    try:
        ask()
        for piece in data:
            shown += side.responses(piece, results)
            ask()
    except ResourceError as error:
        shown += side.goodbye(Refuse(error.code, "tidegate", error.message))
    return shown, asks


def upstream(data: bytes) -> None:
    """The upstream's bytes, in pieces."""
    shown, asks = heard(pieces(data[1:], data[0] if data else 0))
    assert asks <= len(ASKS)
    first = shown.lower().partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert b"x-user: hidden" not in first, "a masked field is shown"
    assert sum(line.startswith((b"content-length:", b"transfer-encoding:")) for line in first) <= 1
    assert not shown or shown.startswith(b"HTTP/1.1 ")
