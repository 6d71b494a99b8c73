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
from typing import Final

from librt.strings import BytesWriter, read_i16_be, read_i32_be, write_i16_be

from tidegate.errors import AgentError, ResourceError

from ._frames import HEADER

NAME_LIMIT: Final = 63
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
        ord("d"): Tag(
            "CopyData", "continues", "While COPY FROM STDIN is under way, under its operation; else dropped."
        ),
        ord("c"): Tag("CopyDone", "continues", "Ends a COPY FROM STDIN."),
        ord("f"): Tag("CopyFail", "continues", "Gives up a COPY FROM STDIN."),
        ord("X"): Tag("Terminate", "farewell", "The agent leaves."),
        ord("p"): Tag("PasswordMessage", "refused", "Belongs to authentication, which is over."),
    }
)

QUERY: Final = 0x51
PARSE: Final = 0x50
BIND: Final = 0x42
DESCRIBE: Final = 0x44
EXECUTE: Final = 0x45
CLOSE: Final = 0x43
SYNC: Final = 0x53
FLUSH: Final = 0x48
CALL: Final = 0x46
TERMINATE: Final = 0x58
COPY_DATA: Final = 0x64
COPY_DONE: Final = 0x63
COPY_FAIL: Final = 0x66
"""The tags by name; as numbers, so that compiled code compares them without a look-up."""

STATEMENT: Final = 0x53
PORTAL: Final = 0x50
"""What a Describe or a Close is about."""

LONGEST: Final = 0x3FFFFFFF
"""The greatest length a message can claim (the server's own limit)."""

SYNC_MESSAGE: Final = b"S\0\0\0\4"
FLUSH_MESSAGE: Final = b"H\0\0\0\4"
ALL_ROWS: Final = bytes(4)


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


def close_statement(name: str) -> bytes:
    """Close for a prepared statement; that there is none is no error."""
    return message(b"C", b"S" + name.encode("utf-8", "surrogateescape") + b"\0")


def describe_portal(name: str) -> bytes:
    """Describe for a portal."""
    return DESCRIBE_UNNAMED if not name else message(b"D", b"P" + name.encode("utf-8", "surrogateescape") + b"\0")


DESCRIBE_UNNAMED: Final = b"D\0\0\0\6P\0"

FAILING: Final = message(b"P", b"tidegate\0refused by tidegate\0\0\0")
"""A Parse that fails in every transaction state: its text is no SQL, and being named it leaves the unnamed statement
alone. The gateway sends it to make the upstream roll back what a refused request belongs to."""


RESERVED = "tidegate"
"""The name of the gateway's own statements and portals, which no agent may give."""


def question(text: str) -> bytes:
    """Run a statement under the reserved name and free it, so that the agent's unnamed ones stay; without Sync."""
    name = RESERVED.encode() + b"\0"
    return b"".join(
        (
            message(b"P", name + text.encode() + b"\0\0\0"),
            message(b"B", name + name + bytes(6)),
            message(b"E", name + ALL_ROWS),
            message(b"C", b"P" + name),
            message(b"C", b"S" + name),
        )
    )


FREED = 2
"""Names that a question takes and frees."""


def row_values(body: bytes) -> list[bytes | None]:
    """The values of a row. Raises ResourceError."""
    values: list[bytes | None] = []
    try:
        (count,) = unpack_from(">H", body)
        at = 2
        for _ in range(count):
            (length,) = unpack_from(">i", body, at)
            at += 4
            values.append(None if length < 0 else body[at : at + length])
            at += max(length, 0)
    except error:
        at = -1
    if at != len(body):
        raise ResourceError("The upstream answered the gateway's own question with something else.")
    return values


# The agent's messages lie with others in one run of bytes: ``at`` is where a message's body begins, ``end`` its end.


def query_text(data: bytes) -> str:
    """The text of a Query, given whole. Raises AgentError."""
    text, at = _string(data, HEADER, len(data))
    if at != len(data):
        raise _malformed()
    return text


def parse_parts(data: bytes, at: int, end: int) -> tuple[str, str, bytes]:
    """Name and text of a Parse, and the types of its parameters (their numbers, as they came). Raises AgentError."""
    name, at = _name(data, at, end)
    text, at = _string(data, at, end)
    if at + 2 > end or at + 2 + 4 * _count(data, at) != end:
        raise _malformed()
    return name, text, data[at + 2 : end]


def bind_names(data: bytes, at: int, end: int) -> tuple[str, str, int]:
    """Portal, statement, and where the rest of a Bind begins. Raises AgentError."""
    portal, at = _name(data, at, end)
    statement, at = _name(data, at, end)
    return portal, statement, at


def bind_parts(data: bytes, at: int, end: int) -> tuple[str, str, bytes]:
    """Portal, statement and parameters of a Bind. Raises AgentError.

    The parameters' canonical encoding is, one after another, format (int16), length (int32, -1 for null) and bytes.
    """
    portal, at = _name(data, at, end)
    statement, at = _name(data, at, end)
    try:
        formats = _count(data, at)
        first = at + 2
        at = first + 2 * formats
        count = _count(data, at)
        if formats > 1 and formats != count:
            raise _malformed()
        at += 2
        parameters = b""
        if count:
            parameters, at = _values(data, at, end, count, first, formats)
        at += 2 + 2 * _count(data, at)
    except IndexError:
        raise _malformed() from None
    if at != end:  # what was read behind the end, if anything was, has moved ``at`` there too
        raise _malformed()
    return portal, statement, parameters


def _values(data: bytes, at: int, end: int, count: int, first: int, formats: int) -> tuple[bytes, int]:
    """The canonical encoding of ``count`` values at ``at``, whose formats stand at ``first``, and where they end."""
    out = BytesWriter()
    for number in range(count):
        if not formats:
            write_i16_be(out, 0)
        else:
            write_i16_be(out, read_i16_be(data, first if formats == 1 else first + 2 * number))
        length: int = read_i32_be(data, at)
        stop = at + 4 + length if length > 0 else at + 4
        if length < -1 or stop > end:
            raise _malformed()
        out.write(data[at:stop])
        at = stop
    return out.getvalue(), at


def target(data: bytes, at: int, end: int) -> tuple[bool, str]:
    """Whether a Describe or Close means a portal, or else a statement, and the name. Raises AgentError."""
    name, stop = _name(data, at + 1, end)
    if stop != end or (data[at] != STATEMENT and data[at] != PORTAL):
        raise _malformed()
    return data[at] == PORTAL, name


def execute_parts(data: bytes, at: int, end: int) -> tuple[str, bool]:
    """The portal an Execute runs, and whether it asks for only so many rows. Raises AgentError."""
    name, at = _name(data, at, end)
    if at + 4 != end:
        raise _malformed()
    most: int = read_i32_be(data, at)
    return name, most != 0


def _count(data: bytes, at: int) -> int:
    """An unsigned number of two bytes. Raises IndexError."""
    number: int = read_i16_be(data, at)
    return number if number >= 0 else number + 65536


def _string(data: bytes, at: int, end: int) -> tuple[str, int]:
    stop = data.find(b"\0", at, end)
    if stop < 0:
        raise _malformed()
    return data[at:stop].decode("utf-8", "surrogateescape"), stop + 1


def _name(data: bytes, at: int, end: int) -> tuple[str, int]:
    stop, last = at, min(end, at + NAME_LIMIT + 1)
    while stop < last and data[stop] != 0:
        stop += 1
    if stop >= last:
        if end - at <= NAME_LIMIT:
            raise _malformed()
        raise AgentError(
            f"The name of a statement or portal is longer than {NAME_LIMIT} bytes.",
            hint="Use a shorter name: the server would cut it, so that two names could mean the same statement.",
        )
    if stop == at:
        return "", stop + 1
    return data[at:stop].decode("utf-8", "surrogateescape"), stop + 1


def _malformed() -> AgentError:
    return AgentError("The message's body does not fit its kind.", hint="Check the driver: it breaks protocol 3.0.")


class Described:
    """One column of a RowDescription."""

    __slots__ = ("attribute", "binary", "kind", "name", "table")

    def __init__(self, name: str, table: int, attribute: int, kind: int, binary: bool) -> None:
        self.name: Final = name
        self.table: Final = table
        self.attribute: Final = attribute
        self.kind: Final = kind
        self.binary: Final = binary


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


def channel(body: bytes) -> tuple[str, int]:
    """The channel of a NotificationResponse, and where its payload begins. Raises ResourceError."""
    end = body.find(b"\0", 4)
    if end < 0 or body.find(b"\0", end + 1) != len(body) - 1:
        raise ResourceError("The upstream's notification cannot be read.")
    return body[4:end].decode("utf-8", "replace"), end + 1


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
