"""The heads of HTTP/1.1 messages, read strictly: what two readers could understand differently is not read at all.

llhttp parses; what it is lenient about is refused here: empty lines before a message, lone line ends, control
characters, fields that may stand once only, versions other than 1.0 and 1.1. Invariant: every field has a name that is
a token and a value of one line, so that a head built from it means the same to everybody.
Source: RFC 9112 sections 2 to 6.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeAlias

import httptools

from tidegate.errors import AgentError, ResourceError, TidegateError

LONGEST = 32 * 1024
"""Bytes of a head."""

TARGET = 8 * 1024
"""Bytes of a request's target."""

FIELDS = 100
"""Fields of a head."""

END = b"\r\n\r\n"

Item: TypeAlias = tuple[bytes, bytes, bytes]
"""A field: its name in lower case, as it was written, and its value."""

ONCE = frozenset(
    (
        b"host", b"content-length", b"transfer-encoding", b"content-type", b"content-encoding", b"content-range",
        b"authorization", b"proxy-authorization", b"expect", b"upgrade", b"location", b"sec-websocket-key",
        b"sec-websocket-version", b"sec-websocket-accept",
    )
)  # fmt: skip
"""Fields that may stand once only: of two, each reader could take another."""

NONE: frozenset[bytes] = frozenset()
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_TARGET = re.compile(rb"[\x21\x22\x24-\x7e]+")
_HOST = re.compile(rb"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_LENGTH = re.compile(rb"[0-9]{1,15}")


class Head:
    """What a request or an answer begins with; ``status`` is 0 for a request, ``method`` empty for an answer.

    ``first`` has the first field of each name; ``twice``: one came again that may stand once only.
    """

    __slots__ = ("fields", "first", "method", "minor", "reason", "status", "target", "twice")

    def __init__(self) -> None:
        self.method = b""
        self.target = b""
        self.minor = 1
        self.status = 0
        self.reason = b""
        self.fields: list[Item] = []
        self.first: dict[bytes, bytes] = {}
        self.twice = False

    # httptools' callbacks

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        self.target += url

    def on_status(self, reason: bytes) -> None:
        """A part of the reason phrase."""
        self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field."""
        lower, value = name.lower(), value.strip(b" \t")
        self.fields.append((lower, name, value))
        if lower not in self.first:
            self.first[lower] = value
        elif lower in ONCE:
            self.twice = True

    # for readers

    def get(self, name: bytes) -> bytes | None:
        """The value of the first field of this name (lower case)."""
        return self.first.get(name)

    def members(self, name: bytes) -> Iterator[bytes]:
        """The members of a field whose value is a list, of all fields of this name."""
        if name not in self.first:
            return
        for lower, _, value in self.fields:
            if lower == name:
                yield from (member for part in value.split(b",") if (member := part.strip(b" \t")))

    def tokens(self, name: bytes) -> frozenset[bytes]:
        """The same in lower case, where order and case mean nothing."""
        return frozenset(member.lower() for member in self.members(name)) if name in self.first else NONE


def request_head(data: bytes) -> Head:
    """The head of a request, ``data`` up to and with the empty line. Raises AgentError."""
    line = data[: data.find(b"\r\n")]
    parts = line.split(b" ")
    if line.startswith(b"PRI * HTTP/2"):
        raise _agent("http.version", "HTTP/2 is not spoken here", "Use HTTP/1.1.")
    if len(parts) != 3 or not parts[0]:
        raise _agent("http.malformed", "this is not an HTTP/1.1 request", "Check the client and the port.")
    if len(parts[1]) > TARGET:
        raise _agent("http.target", "the request's target is too long", f"At most {TARGET} bytes.")
    if parts[2] not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise _agent("http.version", "only HTTP/1.1 is spoken here", "Use HTTP/1.1.")
    head = Head()
    head.method = parts[0]
    _parse(httptools.HttpRequestParser(head), head, data, AgentError)
    if head.target != parts[1] or not _TARGET.fullmatch(head.target):
        raise _agent("http.malformed", "the request's target has characters that no URL has", "Encode them.")
    host = head.get(b"host")
    if (host is None and head.minor) or (host is not None and not _HOST.fullmatch(host)):
        raise _agent("http.malformed", "the request has no Host field that names a host", "Send one Host field.")
    return head


def answer_head(data: bytes) -> Head:
    """The head of an answer, ``data`` up to and with the empty line. Raises ResourceError."""
    head = Head()
    parser = httptools.HttpResponseParser(head)
    if data[:9] not in (b"HTTP/1.1 ", b"HTTP/1.0 ") or not data[9:12].isdigit() or data[12:13] not in (b" ", b"\r"):
        raise ResourceError("the server's answer does not begin as one of HTTP/1.1 does", code="resource.desync")
    _parse(parser, head, data, ResourceError)
    head.status = int(data[9:12])
    if not 100 <= head.status <= 599:
        raise ResourceError("the server's answer has a status that HTTP does not have", code="resource.desync")
    return head


def _parse(
    parser: httptools.HttpRequestParser | httptools.HttpResponseParser,
    head: Head,
    data: bytes,
    fault: type[AgentError | ResourceError],
) -> None:
    ends = data.count(b"\r\n")
    if data.count(b"\n") != ends or data.count(b"\r") != ends or _CONTROL.search(data):
        raise _fault(fault, "the head has control characters, or lines that do not end as lines do")
    if ends > FIELDS + 2:
        raise _fault(fault, f"the head has more than {FIELDS} fields", "http.fields")
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        pass  # what it would become is decided elsewhere
    except httptools.HttpParserError:
        raise _fault(fault, "the head is not one of HTTP/1.1") from None
    head.minor = int(parser.get_http_version() != "1.0")
    if len(head.fields) != ends - 2:
        raise _fault(fault, "the head has a line that is no field")
    if head.twice:
        raise _fault(fault, "a field that may stand once stands several times")


def length(head: Head, fault: type[AgentError | ResourceError]) -> int | None:
    """How long the body is that follows: its bytes, -1 when it comes in chunks, None when nothing says so.

    Raises what ``fault`` says for anything that readers have been found to differ on (RFC 9112 section 6.3).
    """
    coding, written = head.get(b"transfer-encoding"), head.get(b"content-length")
    if coding is not None:
        if written is not None or not head.minor or coding.lower() != b"chunked":
            raise _fault(fault, "the length of the body is not said clearly")
        return -1
    if written is None:
        return None
    if not _LENGTH.fullmatch(written):
        raise _fault(fault, "the length of the body is not a number")
    return int(written)


def _fault(fault: type[AgentError | ResourceError], words: str, code: str = "http.malformed") -> TidegateError:
    if fault is AgentError:
        return AgentError(words, hint="Check the client and the port.", code=code)
    return ResourceError(f"the server's answer: {words}", code="resource.desync")


def _agent(code: str, words: str, hint: str) -> AgentError:
    return AgentError(words, hint=hint, code=code)


class Ending:
    """Looks for the end of a head in a growing buffer, no byte twice."""

    __slots__ = ("_at",)

    def __init__(self) -> None:
        self._at = 0

    def find(self, buffer: bytearray) -> int:
        """Where the head at the beginning of the buffer ends, 0 if that is still to come."""
        at = buffer.find(END, self._at)
        self._at = 0 if at >= 0 else max(0, len(buffer) - len(END) + 1)
        return at + len(END) if at >= 0 else 0
