"""The values bound to a statement: taken apart from their canonical encoding, bound again, and read by people.

The encoding is that of ``postgres_messages.bind_parts``. A value in binary is read only where its declared type says
how; otherwise it is shown as the bytes it is. Source: PostgreSQL documentation, "Message Formats", Bind.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tidegate.errors import AgentError

from .postgres_messages import message

BINARY = 1
LONGEST = 2_000
"""Characters of a value that people are shown."""

_READ: Mapping[int, Callable[[bytes], object]] = {
    16: lambda data: bool(data[0]),
    20: lambda data: struct.unpack(">q", data)[0],
    21: lambda data: struct.unpack(">h", data)[0],
    23: lambda data: struct.unpack(">i", data)[0],
    26: lambda data: struct.unpack(">I", data)[0],
    700: lambda data: struct.unpack(">f", data)[0],
    701: lambda data: struct.unpack(">d", data)[0],
    2950: lambda data: uuid.UUID(bytes=data),
}
"""How a value in binary is read, by the OID of its type (pg_type.dat)."""

_TEXTS = frozenset({18, 19, 25, 114, 142, 1042, 1043})
"""Types whose binary form is their text."""


@dataclass(frozen=True, slots=True)
class Value:
    """One value: ``format`` is 0 for text and 1 for binary, ``data`` None for null, ``type`` 0 if none was declared."""

    format: int
    data: bytes | None
    type: int = 0


def values(parameters: bytes, declared: bytes = b"") -> tuple[Value, ...]:
    """The values in a canonical encoding; ``declared`` are their types (int32 each, 0 for none). Raises AgentError."""
    found: list[tuple[int, bytes | None]] = []
    at, end = 0, len(parameters)
    try:
        while at < end:
            form, length = struct.unpack_from(">hi", parameters, at)
            at += 6
            found.append((form, None if length < 0 else parameters[at : at + length]))
            at += max(length, 0)
        types = [oid for (oid,) in struct.iter_unpack(">I", declared)]
    except struct.error:
        raise _malformed() from None
    if at > end or len(types) > len(found):
        raise _malformed()
    types += [0] * (len(found) - len(types))
    return tuple(Value(form, data, oid) for (form, data), oid in zip(found, types, strict=True))


def readable(value: Value) -> str:
    """The value as people read it, shortened; what cannot be read is hexadecimal."""
    if value.data is None:
        return "NULL"
    if value.format != BINARY or value.type in _TEXTS:
        text = value.data.decode("utf-8", "backslashreplace")
    else:
        text = _decoded(value.type, value.data)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text)} characters)"


def _decoded(oid: int, data: bytes) -> str:
    try:
        return str(_READ[oid](data))
    except (KeyError, struct.error, ValueError, IndexError):
        return "\\x" + data.hex()


def run(text: str, bound: Sequence[Value] = (), rows: int = 0) -> bytes:
    """The messages that run one statement with these values, to the end of the batch; at most ``rows`` rows, if not 0.

    The unnamed statement holds one statement only, whatever ``text`` is: the server refuses several.
    """
    oids = b"".join(value.type.to_bytes(4, "big") for value in bound)
    formats = b"".join(value.format.to_bytes(2, "big") for value in bound)
    data = b"".join(
        b"\xff\xff\xff\xff" if value.data is None else len(value.data).to_bytes(4, "big") + value.data
        for value in bound
    )
    count = len(bound).to_bytes(2, "big")
    return b"".join(
        (
            message(b"P", b"\0" + text.encode() + b"\0" + count + oids),
            message(b"B", b"\0\0" + count + formats + count + data + bytes(2)),
            message(b"D", b"P\0"),
            message(b"E", b"\0" + rows.to_bytes(4, "big")),
            message(b"S", b""),
        )
    )


def _malformed() -> AgentError:
    return AgentError("the bound values are not in their canonical encoding", code="agent.malformed")
