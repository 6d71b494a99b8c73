"""The agent's direction of an HTTP connection: requests out of bytes, one at a time.

A head makes a request, with its body when that is short or the verdict depends on it; a longer body follows under the
same permit, piece by piece, so that gigabytes pass in constant memory. The next head is not looked at before the
answer to the last is complete: nothing is pipelined upstream, where servers and proxies have been found to disagree on
whose answer is whose. A request of another identity, or for another resource, is not taken at all: the connection goes
back to its protocol with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tidegate.errors import AgentError
from tidegate.model.operation import STREAMED, Facts, Operation, Request

from . import http_upgrade
from .http_credential import redacted
from .http_forward import Sender
from .http_framing import LAST, Chunked, Counted, Framing, chunk
from .http_head import LONGEST, Ending, Head, length, request_head
from .http_problem import CONTINUE
from .http_talk import Exchange, Talk
from .websocket import Frames

SHORT = 64 * 1024
"""Bytes of a body that is part of its request although no verdict needs it, so that people see what they approve."""

DRAIN = 8 * 1024 * 1024
"""Bytes of a refused body that are read and dropped, so that its sender hears the refusal; then the connection ends."""

REFUSED_METHODS = frozenset((b"CONNECT", b"TRACE", b"TRACK", b"PRI"))
"""They would open a way through, or give back the gateway's own credential."""


class Asked(Protocol):
    """A request as its resource reads it: the target in its one spelling, and its object, as in tags."""

    target: bytes
    template: str

    @property
    def wants_body(self) -> bool:
        """Whether what the request does depends on its body."""

    def classify(self, body: bytes | None) -> Facts:
        """What the request does; the body is None where it is streamed."""

    def field(self, path: str) -> str:
        """The path of the field that stands at a path of the answer."""


class Site(Protocol):
    """What reads the requests of one resource; see ``operations.http``."""

    def asked(self, head: Head, target: bytes) -> Asked:
        """What a head asks for. Raises AgentError for what servers read differently."""


class Planned:
    """A request that waits for its verdict, and what becomes of the connection after it."""

    __slots__ = ("data", "exchange", "expects", "framing", "request")

    def __init__(self, request: Request, exchange: Exchange, data: bytes, framing: Framing, *, expects: bool) -> None:
        self.request = request
        self.exchange = exchange
        self.data = data
        self.framing = framing
        self.expects = expects


class Requests:
    """``mine`` says whether a head is for this session, and gives its target there, or None. ``limit`` is the most
    bytes of a body that is held. ``token`` never is in what is recorded.
    """

    def __init__(
        self,
        talk: Talk,
        site: Site,
        sender: Sender,
        mine: Callable[[Head], bytes | None],
        limit: int,
        *,
        token: str = "",
        websocket: bool = False,
    ) -> None:
        self._talk = talk
        self._site = site
        self._sender = sender
        self._mine = mine
        self._limit = limit
        self._token = token
        self._websocket = websocket
        self._buffer = bytearray()
        self._ending = Ending()
        self._next: Callable[[], Request | None] = self._head
        self._planned: Planned | None = None
        self._framing: Framing = Counted(0)
        self._piece = b""
        self._said = Frames(AgentError, masked=True)
        self._owed = self._closing = False
        self._dropped = 0
        self.waiting = False

    @property
    def buffered(self) -> int:
        """Bytes held because they make no request yet."""
        return len(self._buffer)

    @property
    def rest(self) -> bytes:
        """Bytes that were not taken."""
        return bytes(self._buffer)

    @property
    def idle(self) -> bool:
        """Whether the agent is between two requests."""
        return self._next == self._head and self._planned is None and not self._owed

    def feed(self, data: bytes) -> None:
        """Take in bytes of the agent."""
        self._buffer += data

    def next(self) -> Request | None:
        """The next request. Raises AgentError."""
        if self._talk.over:
            return None
        if self._owed:
            self._owed = False
            return Request(b"", own=CONTINUE)
        try:
            return self._next()
        except AgentError:
            self._next = lambda: None
            raise

    def forward(self, request: Request) -> bytes:
        """What goes upstream of an allowed request."""
        if request.continues:
            piece, self._piece = self._piece, b""
            return piece
        planned = self._taken()
        exchange = self._talk.exchange = planned.exchange
        self._framing = planned.framing
        exchange.sent = planned.framing.over
        self._next = self._head if exchange.sent else self._stream
        self._owed = planned.expects and not self._buffer
        return planned.data

    def refused(self) -> Exchange:
        """A request is not forwarded. ``close`` of it also when its body is too long to be read for nothing."""
        planned = self._taken()
        exchange, framing = planned.exchange, planned.framing
        exchange.close = exchange.close or planned.expects or not 0 <= framing.left <= DRAIN
        self._framing, self._closing = framing, exchange.close
        self._next = self._head if framing.over else self._drop
        self._talk.over = exchange.close and (framing.over or planned.expects)
        return exchange

    def _taken(self) -> Planned:
        planned, self._planned = self._planned, None
        assert planned is not None
        return planned

    # a head, and a short body

    def _head(self) -> Request | None:
        if self._talk.tunnel:
            self._next, self.waiting = self._frames, False
            return self._frames()
        if self._talk.exchange is not None:
            self.waiting = True
            return None
        self.waiting = False
        if not self._buffer:
            return None
        end = self._ending.find(self._buffer)
        if not end:
            if len(self._buffer) > LONGEST:
                raise AgentError(f"the head is longer than {LONGEST} bytes", code="http.fields")
            return None
        if end > LONGEST:
            raise AgentError(f"the head is longer than {LONGEST} bytes", code="http.fields")
        data = bytes(self._buffer[:end])
        head = request_head(data)
        target = self._mine(head)
        if target is None or self._talk.stale:
            return Request(b"", farewell=True)
        del self._buffer[:end]
        return self._asked(head, target, redacted(data, self._token))

    def _asked(self, head: Head, target: bytes, raw: bytes) -> Request | None:
        if head.method in REFUSED_METHODS:
            raise AgentError("this method is not spoken here", hint="Use another.", code="http.method")
        size = length(head, AgentError) or 0
        if head.get(b"content-encoding") not in (None, b"identity"):
            raise AgentError("the body is in a coding", hint="Send it as it is.", code="http.coding")
        asking = Asking(head, self._site.asked(head, target), raw, size)
        if asking.wanted and size > self._limit:
            raise too_large(self._limit)
        if size == 0 or (size > SHORT and not asking.wanted):
            return self._plan(asking, None if size else b"", asking.framing)
        self._owed = asking.expects and not self._buffer
        asking.expects = False
        self._next = lambda: self._collect(asking)
        return self.next()

    def _collect(self, asking: Asking) -> Request | None:
        """A body that is part of its request."""
        data = bytes(self._buffer)
        if not data:
            return None
        payload, rest = asking.framing.take(data)
        asking.raw += data[: len(data) - len(rest)]
        asking.body += payload
        self._buffer[:] = rest
        if asking.wanted and len(asking.body) > self._limit:
            raise too_large(self._limit)
        if asking.framing.over:
            return self._plan(asking, asking.body, asking.framing)
        if not asking.wanted and len(asking.body) > SHORT:
            return self._plan(asking, None, asking.framing)
        return None

    def _plan(self, asking: Asking, body: bytes | None, framing: Framing) -> Request:
        """The request itself; ``body`` is None when it is to be streamed."""
        head, target = asking.head, asking.asked.target
        facts = asking.asked.classify(body)
        streamed = body is None
        operation = Operation(facts, STREAMED if streamed else body or b"")
        upgrade = self._upgrade(head)
        ahead = self._sender.ahead(head, target, asking.said(streamed), websocket=bool(upgrade))
        begun = (chunk(asking.body) if asking.chunked else asking.body) if streamed else body or b""
        wait, asynchronous = preferences(head)
        request = Request(asking.raw, (operation,), shown=ahead.shown + begun, patience=wait)
        close = not head.minor or b"close" in head.tokens(b"connection")
        exchange = Exchange(operation, head.method, target, asking.asked.template, minor=head.minor, close=close)
        exchange.upgrade, exchange.asynchronous, exchange.field = upgrade, asynchronous, asking.asked.field
        exchange.offered = frozenset(head.members(b"sec-websocket-protocol"))
        self._planned = Planned(request, exchange, ahead.data + begun, framing, expects=asking.expects)
        return request

    def _upgrade(self, head: Head) -> bytes:
        """What a WebSocket handshake must be answered with; nothing if it is none. Raises AgentError."""
        if b"upgrade" not in head.tokens(b"connection") or head.get(b"upgrade") is None:
            return b""
        if b"h2c" in head.tokens(b"upgrade"):
            return b""  # an offer that may be ignored
        accept = http_upgrade.asked(head) if self._websocket else b""
        if not accept:
            raise AgentError(
                "this upgrade is not spoken here",
                hint="An operator can open a resource to WebSocket by `websocket: true`.",
                code="http.upgrade",
            )
        return accept

    # what is no request of its own

    def _stream(self) -> Request | None:
        if self._talk.exchange is None:
            self._next = self._drop  # answered before it was heard out
            return self._drop()
        data = bytes(self._buffer)
        if not data:
            return None
        payload, rest = self._framing.take(data)
        self._buffer[:] = rest
        self._piece = chunk(payload) if isinstance(self._framing, Chunked) else payload
        if self._framing.over:
            self._piece += LAST if isinstance(self._framing, Chunked) else b""
            self._talk.exchange.sent = True
            self._next = self._head
        return Request(data[: len(data) - len(rest)], continues=True, unframed=lambda _: payload)

    def _frames(self) -> Request | None:
        """What an agent says over a WebSocket goes ahead under the handshake's permit."""
        data = bytes(self._buffer)
        if not data:
            return None
        self._buffer.clear()
        payload = b"".join([piece.payload for piece in self._said.take(data)])
        self._piece = data
        return Request(data, continues=True, unframed=lambda _: payload)

    def _drop(self) -> Request | None:
        data = bytes(self._buffer)
        if not data:
            return None
        _, rest = self._framing.take(data)
        self._buffer[:] = rest
        self._dropped += len(data) - len(rest)
        if self._framing.over:
            self._next, self._dropped = self._head, 0
        self._talk.over = self._dropped > DRAIN or (self._closing and self._framing.over)
        return Request(data[: len(data) - len(rest)], own=b"")


class Asking:
    """A request whose body is being read."""

    def __init__(self, head: Head, asked: Asked, raw: bytes, size: int) -> None:
        self.head = head
        self.asked = asked
        self.raw = raw
        self.body = b""
        self.wanted = bool(size) and asked.wants_body
        self.chunked = size < 0
        self.framing: Framing = Chunked(AgentError) if size < 0 else Counted(size)
        self.expects = bool(size) and expects(head)

    def said(self, streamed: bool) -> bytes:
        """The field that tells the upstream how long the body is."""
        if streamed and self.chunked:
            return b"Transfer-Encoding: chunked\r\n"
        if self.framing.left > 0:
            return b"Content-Length: %d\r\n" % (len(self.body) + self.framing.left)
        said = self.head.get(b"content-length") is not None or self.chunked
        return b"Content-Length: %d\r\n" % len(self.body) if said else b""


def expects(head: Head) -> bool:
    """Whether the agent waits for 100 before it sends the body (RFC 9110 section 10.1.1). Raises AgentError."""
    expected = head.get(b"expect")
    if expected is None or not head.minor:
        return False
    if expected.lower() != b"100-continue":
        raise AgentError("this expectation is not met here", hint="Send no Expect field.")
    return True


def preferences(head: Head) -> tuple[int | None, bool]:
    """How many seconds the agent gives people to answer (None if it does not say), and whether it would rather come
    again than wait (RFC 7240 sections 4.1 and 4.3)."""
    wait: int | None = None
    asynchronous = False
    for preference in head.members(b"prefer"):
        name, _, value = preference.partition(b";")[0].partition(b"=")
        name, value = name.strip(b" \t").lower(), value.strip(b' \t"')
        if name == b"wait" and value.isdigit() and len(value) < 7:
            wait = int(value)
        asynchronous = asynchronous or name == b"respond-async"
    return (0 if wait is None and asynchronous else wait), asynchronous


def too_large(limit: int) -> AgentError:
    """A body that has to be understood but is longer than the gateway holds."""
    return AgentError(f"the body is longer than {limit} bytes", hint="Send less at a time.", code="http.large")
