"""The upstream's direction of an HTTP connection: answers, their heads built anew, their bodies masked and searched.

Invariants: nothing of an answer passes that no request asked for; a body passes as long as it is framed as the upstream
said and framed anew; an answer that ends too early is not made to look complete.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tidegate.errors import ResourceError
from tidegate.model.operation import Outcome, Results, Shape
from tidegate.model.resource import Field
from tidegate.model.verdict import Refuse

from . import http_upgrade
from .body import Body
from .http_answer import shown
from .http_framing import LAST, Chunked, Counted, Endless, Framing, chunk
from .http_head import LONGEST, Ending, Head, answer_head, length
from .http_places import Origin
from .http_problem import problem
from .http_talk import Exchange, Talk
from .http_tunnel import Tunnel
from .websocket import close

INTERIM = 8
"""Answers with a status below 200 that may come before the answer itself; they are dropped."""

DESYNC = "resource.desync"
"""Code of what is no answer at all. One that is, but must not pass, is withheld, and the agent's connection goes on."""

STREAMS = (b"text/event-stream", b"application/grpc", b"multipart/x-mixed-replace")
"""Media types of answers that have no end."""


POLICY = 1008
"""Why a WebSocket is closed: what was said must not be (RFC 6455 section 7.4.1)."""


class Open(Protocol):
    """What reads and masks bodies; None for one that passes as it is. Raises ResourceError for one that must not."""

    def __call__(self, head: Head, exchange: Exchange, results: Results) -> Body | None:
        """For the body of an answer."""

    def message(self, media: str, exchange: Exchange, results: Results) -> Body | None:
        """For a message of a WebSocket."""


Search = Callable[[bytes, bool], bytes]
"""A body's next bytes without the upstream's credential, of the same length over all; the last bytes wait for what
follows if there may be more."""


class Responses:
    """``masked``: there may be masks; ``open`` is asked for each body then."""

    def __init__(self, talk: Talk, origin: Origin, open: Open, search: Search, *, masked: bool) -> None:
        self._talk = talk
        self._origin = origin
        self._open = open
        self._search = search
        self._masked = masked
        self._buffer = bytearray()
        self._ending = Ending()
        self._interim = 0
        self._framing: Framing | None = None
        self._tunnel: Tunnel | None = None
        self._body: Body | None = None
        self._chunks = False
        self._begun = b""
        self._status = 0
        self._rows = 0

    def take(self, data: bytes, results: Results) -> bytes:
        """What the agent may see of what the upstream said. Raises ResourceError."""
        shown: list[bytes] = []
        while data and not self._talk.over:
            exchange = self._talk.exchange
            if exchange is None:
                # A goodbye such as 408 that nobody asked for; were it kept, it would answer the next request.
                self._talk.spent = True
                break
            if self._tunnel is not None:
                shown.append(self._heard(self._tunnel, exchange, data, results))
                break
            framing = self._framing
            if framing is None:
                said, data = self._head(exchange, data, results)
                shown.append(said)
                continue
            payload, data = framing.take(data)
            try:
                shown.append(self._pass(exchange, payload, results))
                if framing.over and self._talk.exchange is exchange:
                    shown.append(self._end(exchange, results))
            except ResourceError as error:
                shown.append(self._withheld(exchange, error, results))
                break
        return shown[0] if len(shown) == 1 else b"".join(shown)

    def left(self, results: Results) -> bytes:
        """The upstream has closed its side. Raises ResourceError for a body that ends in the middle."""
        self._talk.spent = True
        exchange = self._talk.exchange
        if exchange is None or not isinstance(self._framing, Endless):
            return b""
        return self._end(exchange, results)

    # heads

    def _head(self, exchange: Exchange, data: bytes, results: Results) -> tuple[bytes, bytes]:
        """What of a head passes, and what follows it."""
        self._buffer += data
        end = self._ending.find(self._buffer)
        if end > LONGEST or (not end and len(self._buffer) > LONGEST):
            raise ResourceError("the server's answer has too long a head", code="resource.desync")
        if not end:
            return b"", b""
        head = answer_head(bytes(self._buffer[:end]))
        data = bytes(self._buffer[end:])
        self._buffer.clear()
        if head.status == 101:
            return self._upgraded(exchange, head, results), data
        if head.status < 200:
            self._interim += 1
            if self._interim > INTERIM:
                raise ResourceError("the server answers without end that it will answer", code="resource.desync")
            return b"", data
        self._interim = 0
        try:
            return self._begin(exchange, head, results), data
        except ResourceError as error:
            return self._withheld(exchange, error, results), b""

    def _begin(self, exchange: Exchange, head: Head, results: Results) -> bytes:
        framing = self._framed(exchange, head)
        bodiless = isinstance(framing, Counted) and framing.over
        body = None if bodiless else self._open(head, exchange, results)
        mask = (lambda name, value: self._mask(exchange, name, value, results)) if self._masked else None
        lines = shown(head, self._origin, exchange.target, changed=body is not None, mask=mask)
        said, self._chunks = self._said(exchange, head, framing, changed=body is not None)
        exchange.close = exchange.close or (not self._chunks and not said and not bodiless)
        exchange.stream = (head.get(b"content-type") or b"").lower().startswith(STREAMS)
        self._framing, self._body, self._status = framing, body, head.status
        self._rows = 1
        close = b"Connection: close\r\n" if exchange.close else b""
        reason = head.reason if head.reason.isascii() else b""
        first = b"HTTP/1.1 %d %b\r\n" % (head.status, reason)
        self._begun = first + b"".join(lines) + said + close + b"\r\n"
        if framing.over:
            return self._end(exchange, results)
        # The first bytes of a body may show that it must not pass; only a stream's head cannot wait for them.
        return self._started(exchange) if body is None or exchange.stream else b""

    def _started(self, exchange: Exchange) -> bytes:
        """The head of the answer, once."""
        begun, self._begun = self._begun, b""
        exchange.begun = True
        return begun

    def _framed(self, exchange: Exchange, head: Head) -> Framing:
        """How the body is framed (RFC 9112 section 6.3)."""
        size = length(head, ResourceError)
        kept = b"keep-alive" if not head.minor else b""
        if b"close" in head.tokens(b"connection") or (kept and kept not in head.tokens(b"connection")):
            self._talk.spent = True
        if head.status == 401:
            self._talk.stale = True  # the credential may just have been rotated: another session reads it anew
        if exchange.method == b"HEAD" or head.status in (204, 304):
            return Counted(0)
        if size is None:
            self._talk.spent = True
            return Endless()
        return Chunked(ResourceError) if size < 0 else Counted(size)

    def _said(self, exchange: Exchange, head: Head, framing: Framing, *, changed: bool) -> tuple[bytes, bool]:
        """The field that tells the agent how long the body is, and whether it comes in chunks."""
        if exchange.method == b"HEAD" and not self._masked and (size := head.get(b"content-length")) is not None:
            return b"Content-Length: %b\r\n" % size, False
        if exchange.method == b"HEAD" or head.status in (204, 304):
            return b"", False
        if isinstance(framing, Counted) and (not changed or framing.over):
            return b"Content-Length: %d\r\n" % framing.left, False
        return (b"Transfer-Encoding: chunked\r\n", True) if exchange.minor else (b"", False)

    def _mask(self, exchange: Exchange, name: str, value: bytes, results: Results) -> bytes:
        field = Field(exchange.template, f"header.{name}")
        transform = results.value(exchange.operation, field, Shape.TEXT)
        if transform is None:
            return value
        masked = transform(value)
        if masked == value:
            return value
        results.replaced(exchange.operation, field, 1)
        return (masked or b"").translate(None, b"\r\n\0")

    def _withheld(self, exchange: Exchange, error: ResourceError, results: Results) -> bytes:
        """In place of an answer that must not pass: the rest of it is never read, and its connection is given up.

        Raises the error itself when it is too late for that.
        """
        if error.code == DESYNC or exchange.begun:
            raise error
        self._talk.spent = True
        refusal = Refuse(error.code, "tidegate", error.message, error.hint)
        close = exchange.close or not exchange.sent
        number = self._status if self._status >= 400 and error.code == "resource.binary" else 0
        said = problem(refusal, close=close, body=exchange.method != b"HEAD", number=number)
        self._over(exchange, Outcome("error", error.code), results, close=close)
        return said

    def _upgraded(self, exchange: Exchange, head: Head, results: Results) -> bytes:
        http_upgrade.check(head, exchange.upgrade, exchange.offered)
        mask = (lambda name, value: self._mask(exchange, name, value, results)) if self._masked else None
        lines = shown(head, self._origin, exchange.target, changed=False, mask=mask)
        self._talk.tunnel = exchange.begun = exchange.stream = True
        self._tunnel = Tunnel(exchange, self._open.message, self._search)
        upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        return b"HTTP/1.1 101 Switching Protocols\r\n" + b"".join(lines) + upgrade

    def _heard(self, tunnel: Tunnel, exchange: Exchange, data: bytes, results: Results) -> bytes:
        """What comes over a WebSocket."""
        said, messages = tunnel.take(data, results)
        if not results.rows(exchange.operation, messages, len(said), ()):
            self._over(exchange, Outcome("refused", "limit.rows"), results, close=True)
            return close(POLICY, "no more may be given by the limit of a rule")
        if tunnel.closed:
            self._over(exchange, Outcome("ok", "", "101"), results, close=True)
        return said

    # bodies

    def _pass(self, exchange: Exchange, payload: bytes, results: Results) -> bytes:
        if self._body is not None:
            payload = self._body.feed(payload)
        # What ends a line ends whatever could be a credential, so that events and lines pass at once.
        return self._framed_anew(exchange, self._search(payload, not payload.endswith(b"\n")), results)

    def _framed_anew(self, exchange: Exchange, payload: bytes, results: Results) -> bytes:
        if not payload:
            return b""
        rows, self._rows = self._rows, 0
        if not results.rows(exchange.operation, rows, len(payload), ()):
            refusal = Refuse("limit.rows", "tidegate", "no more answers may be given by the limit of a rule")
            said = b"" if exchange.begun else problem(refusal, close=True)
            self._over(exchange, Outcome("refused", "limit.rows"), results, close=True)
            return said
        return self._started(exchange) + (chunk(payload) if self._chunks else payload)

    def _end(self, exchange: Exchange, results: Results) -> bytes:
        """The answer is whole."""
        rest = self._body.end() if self._body is not None else b""
        said = self._framed_anew(exchange, self._search(rest, False), results)
        if self._talk.over:
            return said
        if self._body is not None:
            for path, values in self._body.changed.items():
                field = Field(exchange.template, exchange.field(path))
                results.replaced(exchange.operation, field, values)
        said = said or self._started(exchange)
        status = self._status
        outcome = Outcome("ok" if status < 400 else "error", "" if status < 400 else str(status), str(status))
        self._over(exchange, outcome, results, close=exchange.close)
        return said + (LAST if self._chunks else b"")

    def _over(self, exchange: Exchange, outcome: Outcome, results: Results, *, close: bool) -> None:
        self._framing = self._body = None
        self._begun = b""
        self._talk.exchange = None
        self._talk.over = close
        if not exchange.sent:
            self._talk.spent = True
        results.done(exchange.operation, outcome)
