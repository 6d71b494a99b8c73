"""PostgreSQL protocol 3.0 messages: which an agent may send, and how single ones are read and written.

Why a table: a tag that is not in ``FRONTEND`` is refused (rule 3), and the reference page is checked against it.
Readers raise AgentError (agent's messages) or ResourceError (upstream's) and demand that a body has nothing left over,
because bytes behind the end would be understood differently on the two sides.
Source: PostgreSQL documentation, "Frontend/Backend Protocol: Message Formats".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct, error, pack, unpack_from
from types import MappingProxyType

from tidegate.errors import AgentError, ResourceError

NAME_LIMIT = 63
"""Bytes of a statement's or portal's name. The server cuts longer ones, so that two names would mean one thing."""


SPOKEN = MappingProxyType({"client_encoding": "UTF8", "standard_conforming_strings": "on"})
"""Settings that decide how a statement's text is read, and the only values under which the parser reads it alike."""


@dataclass(frozen=True, slots=True)
class Tag:
    """A frontend message: its name, what becomes of it, and why."""

    name: str
    verdict: str
    reason: str


FRONTEND: Mapping[int, Tag] = MappingProxyType(
    {
        ord("Q"): Tag("Query", "judged", "One operation per statement of the text."),
        ord("P"): Tag("Parse", "judged", "The statement is judged when it is handed over, even if it never runs."),
        ord("B"): Tag("Bind", "judged", "Planning may run functions; over 64 KiB it is streamed under one operation."),
        ord("D"): Tag("Describe", "carried", "Tells the shape of a statement that was judged at its Parse."),
        ord("E"): Tag("Execute", "judged", "One operation with the facts of the portal's statement and its values."),
        ord("C"): Tag("Close", "carried", "Frees a name."),
        ord("S"): Tag("Sync", "carried", "Ends a batch."),
        ord("H"): Tag("Flush", "carried", "Makes the replies so far come; does not end a batch."),
        ord("F"): Tag("FunctionCall", "judged", "Calls by number what no parser sees: an operation of verb unknown."),
        ord("d"): Tag("CopyData", "continues", "Only while a COPY FROM STDIN is under way, under its operation."),
        ord("c"): Tag("CopyDone", "continues", "Ends a COPY FROM STDIN."),
        ord("f"): Tag("CopyFail", "continues", "Gives up a COPY FROM STDIN."),
        ord("X"): Tag("Terminate", "farewell", "The agent leaves."),
        ord("p"): Tag("PasswordMessage", "refused", "Belongs to authentication, which is over."),
    }
)

QUERY, PARSE, BIND, DESCRIBE, EXECUTE, CLOSE, SYNC, FLUSH, CALL, TERMINATE = b"QPBDECSHFX"
COPY_DATA, COPY_DONE, COPY_FAIL = b"dcf"

LONGEST = 0x3FFFFFFF
"""The greatest length a message can claim (the server's own limit)."""

SYNC_MESSAGE = b"S\0\0\0\4"
FLUSH_MESSAGE = b"H\0\0\0\4"


def message(tag: bytes, body: bytes) -> bytes:
    """One message: tag, length, body."""
    return tag + pack(">I", len(body) + 4) + body


def ready(status: str) -> bytes:
    """ReadyForQuery with a transaction status (``I``, ``T`` or ``E``)."""
    return message(b"Z", status.encode("ascii"))


def report(tag: bytes, severity: str, code: str, text: str, *, detail: str = "", hint: str = "") -> bytes:
    """ErrorResponse (``E``) or NoticeResponse (``N``); empty fields are left out."""
    fields = (("S", severity), ("V", severity), ("C", code), ("M", text), ("D", detail), ("H", hint))
    body = b"".join(
        key.encode() + value.replace("\0", "").encode("utf-8", "replace") + b"\0" for key, value in fields if value
    )
    return message(tag, body + b"\0")


def describe_portal(name: str) -> bytes:
    """Describe for a portal."""
    return message(b"D", b"P" + name.encode("utf-8", "surrogateescape") + b"\0")


FAILING = message(b"P", b"tidegate\0refused by tidegate\0\0\0")
"""A Parse that fails in every transaction state: its text is no SQL, and being named it leaves the unnamed statement
alone. The gateway sends it to make the upstream roll back what a refused request belongs to."""


def query_text(body: bytes) -> str:
    """The text of a Query. Raises AgentError."""
    text, at = _string(body, 0)
    _end(body, at)
    return text


def parse_parts(body: bytes) -> tuple[str, str]:
    """Name and text of a Parse. Raises AgentError."""
    name, at = _name(body, 0)
    text, at = _string(body, at)
    try:
        _end(body, at + 2 + 4 * unpack_from(">H", body, at)[0])
    except error:
        raise _malformed() from None
    return name, text


def bind_names(body: bytes) -> tuple[str, str, int]:
    """Portal, statement, and where the rest of a Bind begins. Raises AgentError."""
    portal, at = _name(body, 0)
    statement, at = _name(body, at)
    return portal, statement, at


def bind_parts(body: bytes) -> tuple[str, str, bytes]:
    """Portal, statement and parameters of a Bind.

    The parameters' canonical encoding is, one after another, format (int16), length (int32, -1 for null) and bytes.
    Raises AgentError.
    """
    portal, statement, at = bind_names(body)
    try:
        formats, at = _shorts(body, at)
        (count,) = unpack_from(">H", body, at)
        if len(formats) not in (0, 1, count):
            raise _malformed()
        formats = formats * count if len(formats) == 1 else formats or (0,) * count
        parameters, at = _values(body, at + 2, formats)
        _, at = _shorts(body, at)
    except error:
        raise _malformed() from None
    _end(body, at)
    return portal, statement, parameters


def target(body: bytes) -> tuple[str, str]:
    """Kind (``S`` or ``P``) and name in a Describe or Close. Raises AgentError."""
    name, at = _name(body, 1)
    _end(body, at)
    if body[:1] not in (b"S", b"P"):
        raise _malformed()
    return body[:1].decode(), name


def execute_portal(body: bytes) -> str:
    """The portal an Execute runs. Raises AgentError."""
    name, at = _name(body, 0)
    _end(body, at + 4)
    return name


def _values(body: bytes, at: int, formats: tuple[int, ...]) -> tuple[bytes, int]:
    out: list[bytes] = []
    for form in formats:
        (length,) = unpack_from(">i", body, at)
        stop = at + 4 + max(length, 0)
        if length < -1 or stop > len(body):
            raise _malformed()
        out += (pack(">H", form), body[at:stop])
        at = stop
    return b"".join(out), at


def _shorts(body: bytes, at: int) -> tuple[tuple[int, ...], int]:
    (count,) = unpack_from(">H", body, at)
    return unpack_from(f">{count}H", body, at + 2), at + 2 + 2 * count


def _string(body: bytes, at: int) -> tuple[str, int]:
    end = body.find(b"\0", at)
    if end < 0:
        raise _malformed()
    return body[at:end].decode("utf-8", "surrogateescape"), end + 1


def _name(body: bytes, at: int) -> tuple[str, int]:
    end = body.find(b"\0", at, at + NAME_LIMIT + 1)
    if end < 0 and len(body) - at > NAME_LIMIT:
        raise AgentError(
            f"The name of a statement or portal is longer than {NAME_LIMIT} bytes.",
            hint="Use a shorter name: the server would cut it, so that two names could mean the same statement.",
        )
    return _string(body, at)


def _end(body: bytes, at: int) -> None:
    if at != len(body):
        raise _malformed()


def _malformed() -> AgentError:
    return AgentError("The message's body does not fit its kind.", hint="Check the driver: it breaks protocol 3.0.")


@dataclass(frozen=True, slots=True)
class Described:
    """One column of a RowDescription."""

    name: str
    table: int
    attribute: int
    kind: int
    binary: bool


_described = Struct(">IhIhih")


def row_description(body: bytes) -> tuple[Described, ...]:
    """The columns a RowDescription announces. Raises ResourceError."""
    columns = []
    try:
        (count,) = unpack_from(">H", body)
        at = 2
        for _ in range(count):
            end = body.index(b"\0", at)
            table, attribute, kind, _, _, form = _described.unpack_from(body, end + 1)
            columns.append(Described(body[at:end].decode("utf-8", "replace"), table, attribute, kind, form == 1))
            at = end + 1 + _described.size
    except (error, ValueError):
        raise ResourceError("The upstream's description of a result cannot be read.") from None
    if at != len(body):
        raise ResourceError("The upstream's description of a result has bytes behind its end.")
    return tuple(columns)


def report_fields(body: bytes) -> dict[str, str]:
    """The fields of an ErrorResponse or NoticeResponse by their letter. Raises ResourceError."""
    parts = body.split(b"\0")
    if parts[-2:] != [b"", b""]:
        raise ResourceError("The upstream's error message is not terminated.")
    return {part[:1].decode("latin-1"): part[1:].decode("utf-8", "replace") for part in parts[:-2]}


def setting(body: bytes) -> tuple[str, str]:
    """Name and value of a ParameterStatus. Raises ResourceError."""
    parts = body.split(b"\0")
    if len(parts) != 3 or parts[2]:
        raise ResourceError("The upstream's report of a setting cannot be read.")
    return parts[0].decode("utf-8", "replace"), parts[1].decode("utf-8", "replace")


def check_setting(name: str, value: str) -> None:
    """Rule 9: raises ResourceError when the upstream reads the language differently from the gateway's parser."""
    if SPOKEN.get(name, value).lower() != value.lower():
        raise ResourceError(
            f"The upstream's setting {name} was changed, so that statements would be read differently.",
            hint="Leave client_encoding and standard_conforming_strings as they are.",
            code="resource.setting",
        )
