"""Laws of the HTTP wire: bytes mean the same however they are cut, and garbage is an error, never more than that."""

from __future__ import annotations

import re

import httptools
from hypothesis import given
from hypothesis import strategies as st

from playbook import Watcher
from tidegate.errors import AgentError, ResourceError
from tidegate.model.verdict import Refuse
from tidegate.wire.http import HttpWire
from tidegate.wire.http_framing import Chunked, Counted
from unit.wire.http_talking import answer, chunks, cut, request, shouting, wire

SIZES = st.lists(st.integers(1, 60), max_size=30)
NO = Refuse("policy.refused", "no", "it is refused")

ASKED = (
    request("GET", "/a")
    + request("POST", "/b", body=b"hello")
    + request("PUT", "/c", "Transfer-Encoding: chunked")
    + chunks(b"one", b"two", b"x" * 70_000)
    + request("POST", "/refused", body=b"no")
    + request("HEAD", "/d")
    + request("GET", "/e", "Connection: close")
)
ANSWERS = (
    answer("200 OK", body=b"first"),
    answer("200 OK", "Transfer-Encoding: chunked", length=False) + chunks(b"se", b"cond"),
    b"HTTP/1.1 100 Continue\r\n\r\n" + answer("201 Created", "Location: /c/1", body=b"third"),
    answer("200 OK", "Content-Length: 7", length=False),
    answer("404 Not Found", body=b"last"),
)


class Sides:
    """What both sides have heard."""

    def __init__(self, side: HttpWire) -> None:
        self.wire = side
        self.results = Watcher()
        self.up = self.down = b""

    def take(self) -> None:
        """Forward what may go, refuse what names it."""
        while (asked := self.wire.request()) is not None:
            if asked.own is not None:
                self.down += asked.own
            elif asked.operations and "refused" in asked.operations[0].facts.text:
                assert not self.wire.pending
                self.down += self.wire.refuse(asked, NO).to_agent
            elif not asked.farewell:
                self.results.open.update(asked.operations)
                self.up += self.wire.forward(asked)
            else:
                return


class Heard:
    """What another reader, llhttp, makes of what goes upstream: heads and bodies."""

    def __init__(self, data: bytes) -> None:
        self.said: list[bytes] = []
        httptools.HttpRequestParser(self).feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.said += [url, b""]

    def on_header(self, name: bytes, value: bytes) -> None:
        self.said += [name + b": " + value, b""]

    def on_body(self, body: bytes) -> None:
        self.said[-1] += body

    def on_message_complete(self) -> None:
        self.said += [b"end", b""]


def answers(data: bytes) -> list[bytes]:
    """Heads and bodies of what the agent hears; the fourth that is no refusal answers a HEAD."""
    said: list[bytes] = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        found = re.search(rb"Content-Length: (\d+)", head)
        framing = Counted(int(found[1]) if found and b"Length: 7" not in head else 0)
        body, data = (Chunked(ResourceError) if b"chunked" in head else framing).take(data)
        said += [head, body]
    return said


def converse(asks: list[bytes], size: int, *, masked: bool) -> tuple[list[bytes], list[bytes]]:
    """What each side hears when the agent sends so, and answers come in pieces of ``size``."""
    sides = Sides(wire(masked=masked, limit=10**6, **({"open": shouting} if masked else {})))  # type: ignore[arg-type]
    said = 0

    def answered() -> None:
        nonlocal said
        while sides.wire.waiting and sides.wire.pending and said < len(ANSWERS):
            for piece in cut(ANSWERS[said], [size] * 1000):
                sides.down += sides.wire.responses(piece, sides.results)
            said += 1
            sides.take()

    for piece in asks:
        sides.wire.feed(piece)
        sides.take()
        answered()
    assert said == len(ANSWERS) and sides.wire.over and not sides.results.open
    return Heard(sides.up).said, answers(sides.down)


WHOLE = {masked: converse([ASKED], 10**6, masked=masked) for masked in (False, True)}


@given(SIZES, st.integers(1, 200), st.booleans())
def test_however_the_bytes_come(sizes: list[int], size: int, masked: bool) -> None:
    """Both sides hear the same."""
    assert converse(cut(ASKED, sizes), size, masked=masked) == WHOLE[masked]


@given(st.lists(st.sampled_from([b"GET", b" ", b"/", b"HTTP/1.1", b"\r\n", b"\n", b":", b"Host", b"a", b"\0", b"0"])))
def test_garbage_of_an_agent(parts: list[bytes]) -> None:
    """Is an error, and a goodbye that is an answer."""
    side = wire()
    side.feed(b"".join(parts) + b"\r\n\r\n")
    try:
        asked = side.request()
        assert asked is None or asked.operations
    except AgentError as error:
        assert side.goodbye(Refuse(error.code, "tidegate", error.message)).startswith(b"HTTP/1.1 ")


@given(
    st.binary(max_size=100), st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: "])
)
def test_garbage_of_an_upstream(data: bytes, before: bytes) -> None:
    """Is an error, or an answer."""
    side, results = wire(), Watcher()
    side.feed(request())
    asked = side.request()
    assert asked is not None
    side.forward(asked)
    results.open.update(asked.operations)
    try:
        side.responses(before + data + b"\r\n\r\n", results)
    except ResourceError:
        assert side.goodbye(Refuse("resource.desync", "tidegate", "no")).startswith((b"HTTP/1.1 502 ", b""))
