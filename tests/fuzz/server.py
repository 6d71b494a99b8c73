"""A small upstream that keeps to the protocol, and writes down what really ran: the oracle of the agent's direction.

It is written from PostgreSQL's documentation, not from the gateway's wire, and shares no code with it. Its statements
are words: ``select``, ``insert``, ``begin``, ``commit``, ``rollback``, ``copy in``, ``copy out``, ``fail`` (fails when
it runs), ``prepare NAME as TEXT``, ``execute NAME``, ``deallocate NAME``; anything else is a syntax error. What
``insert`` did counts only when its transaction commits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from struct import error, pack, unpack_from

ROWS = 3
"""Rows of every select."""

EXITS = ("commit", "rollback")
WORDS = ("select", "insert", "begin", "copy", "fail", "prepare", "execute", "deallocate", *EXITS)


def frame(tag: bytes, body: bytes = b"") -> bytes:
    """One message."""
    return tag + pack(">I", len(body) + 4) + body


def messages(data: bytes) -> list[tuple[bytes, bytes]]:
    """Tags and bodies of whole messages; what is cut short comes last, under no tag."""
    found, at = [], 0
    while at < len(data):
        size = 1 + unpack_from(">I", data, at + 1)[0] if at + 5 <= len(data) else len(data) + 1
        if size < 5 or at + size > len(data):
            return [*found, (b"", data[at:])]
        found.append((data[at : at + 1], data[at + 5 : at + size]))
        at += size
    return found


def several(text: str) -> list[str]:
    """The statements of a text."""
    return [part.strip() for part in text.split(";") if part.strip()]


class Failed(Exception):
    """An error that the server reports; the argument is its SQLSTATE."""


@dataclass
class Portal:
    """A statement bound to values; ``left`` rows of it have not been fetched."""

    text: str
    parameters: bytes
    left: int = ROWS
    done: bool = False


@dataclass
class Server:
    """Feed it bytes; it queues ``said``, and reports to ``ran`` and ``planned`` before it does anything.

    ``ran`` is told the text, the parameters, and what the text stands for, if it is an ``execute``.
    ``refuses``: a text that fails as if it could not be parsed, as the gateway would refuse it.
    """

    ran: Callable[[str, bytes, str], None] = lambda text, parameters, meaning: None
    planned: Callable[[str, str], None] = lambda name, text: None
    refuses: Callable[[str], bool] = lambda text: False
    said: bytes = b""
    status: str = "I"
    committed: list[str] = field(default_factory=list)
    over: bool = False
    _buffer: bytes = b""
    _skipping: bool = False
    _copy: str = ""
    _texts: list[str] = field(default_factory=list)
    _pending: list[str] = field(default_factory=list)
    _statements: dict[str, str] = field(default_factory=dict)
    _portals: dict[str, Portal] = field(default_factory=dict)

    def feed(self, data: bytes) -> None:
        """Take in bytes of the other side."""
        found = messages(self._buffer + data)
        self._buffer = found.pop()[1] if found and not found[-1][0] else b""
        for tag, body in found:
            if self.over:
                return
            self._message(tag, body)

    def _message(self, tag: bytes, body: bytes) -> None:
        if self._copy:
            self._copying(tag, body)
        elif tag == b"X":
            self.over = True
        elif tag == b"S":
            self._skipping = False
            self._finish()
        elif tag in (b"d", b"c", b"f", b"H") or self._skipping:
            return
        elif tag in (b"Q", b"F"):
            self._guarded(self._query if tag == b"Q" else self._call, body)
        else:
            self._guarded(self._extended, tag + body)

    def _guarded(self, step: Callable[[bytes], None], data: bytes) -> None:
        try:
            step(data)
        except (Failed, error, IndexError, ValueError) as failure:
            self._fail(str(failure) if isinstance(failure, Failed) else "08P01", simple=step != self._extended)

    def _fail(self, code: str, *, simple: bool) -> None:
        self.said += frame(b"E", f"SERROR\0VERROR\0C{code}\0Mfailed\0\0".encode())
        self._pending.clear()
        self._texts.clear()
        if self.status == "T":
            self.status = "E"
        elif self.status == "I":
            self._portals.clear()
        if simple:
            self._finish()
        else:
            self._skipping = True

    def _finish(self) -> None:
        """The end of a batch: an implicit transaction commits."""
        if self.status == "I":
            self._end(keep=True)
        self.said += frame(b"Z", self.status.encode())

    def _end(self, *, keep: bool) -> None:
        self.committed += self._pending if keep else []
        self._pending.clear()
        self._portals.clear()
        self.status = "I"

    # statements

    def _parsed(self, text: str) -> list[str]:
        parts = several(text)
        if any(self.refuses(part) for part in parts):
            raise Failed("42501")
        if any(part.split()[0].lower() not in WORDS for part in parts):
            raise Failed("42601")
        return parts

    def _command(self, text: str) -> str:
        word = text.split()[0].lower()
        if self.status == "E" and word not in EXITS:
            raise Failed("25P02")
        return word

    def _run(self, text: str, parameters: bytes) -> str:
        """Do what is not rows; gives the tag of completion."""
        word = self._command(text)
        meaning = self._meaning(text) if word == "execute" else text
        self.ran(text, parameters, meaning)
        if meaning.startswith("fail"):
            raise Failed("22012")
        if meaning.startswith("insert"):
            self._pending.append(meaning)
        elif meaning is not text:
            return meaning.split()[0].upper() if meaning else "EMPTY"
        elif word == "begin":
            self.status = "T"
        elif word in EXITS:
            self._end(keep=word == "commit" and self.status != "E")
        elif word in ("prepare", "deallocate"):
            self._sql(word, text)
        return word.upper()

    def _meaning(self, text: str) -> str:
        """What an ``execute`` runs: reads and writes only, and no rows of its own, to keep this small."""
        meaning = self._statements.get(text.split()[-1])
        if meaning is None:
            raise Failed("26000")
        if meaning and meaning.split()[0].lower() not in ("select", "insert", "fail"):
            raise Failed("0A000")
        return meaning

    def _sql(self, word: str, text: str) -> None:
        name = text.split()[1] if len(text.split()) > 1 else ""
        if (word == "prepare") is (name in self._statements):
            raise Failed("42P05" if word == "prepare" else "26000")
        if word == "deallocate":
            del self._statements[name]
            return
        inner = self._parsed(text.partition(" as ")[2])
        if len(inner) != 1:
            raise Failed("42601")
        self._statements[name] = inner[0]

    # simple queries

    def _query(self, body: bytes) -> None:
        if not body.endswith(b"\0"):
            raise Failed("08P01")
        text = body[:-1].decode("utf-8", "surrogateescape")
        if not any(map(self.refuses, several(text))):  # what is refused does not arrive
            self._statements.pop("", None)
            self._portals.pop("", None)
        self._texts = self._parsed(text)
        if not self._texts:
            self.said += frame(b"I")
        self._go_on()

    def _go_on(self) -> None:
        while self._texts:
            text = self._texts.pop(0)
            if self._command(text) == "copy":
                self.ran(text, b"", text)
                if not self._copied(text, "simple"):
                    return
                continue
            if self._command(text) == "select":
                self.said += self._columns()
                self.said += b"".join(self._row(text) for _ in range(ROWS))
            self.said += frame(b"C", self._run(text, b"").encode() + b"\0")
        self._finish()

    def _call(self, body: bytes) -> None:
        if self.status == "E":
            raise Failed("25P02")
        self.ran("function call", body, "function call")
        self.said += frame(b"V", pack(">i", 1) + b"7")
        self._finish()

    # the extended protocol

    def _extended(self, data: bytes) -> None:
        tag, body = data[:1], data[1:]
        steps = {b"P": self._parse, b"B": self._bind, b"D": self._describe, b"E": self._execute, b"C": self._close}
        if tag not in steps:
            self.over = True
            raise Failed("08P01")
        steps[tag](body)

    def _parse(self, body: bytes) -> None:
        name, text, _ = body.split(b"\0", 2)
        self.planned(name.decode(), text.decode("utf-8", "surrogateescape"))
        parts = self._parsed(text.decode("utf-8", "surrogateescape"))
        if len(parts) > 1:
            raise Failed("42601")
        if parts:
            self._command(parts[0])
        if name and name.decode() in self._statements:
            raise Failed("42P05")
        self._statements[name.decode()] = parts[0] if parts else ""
        self.said += frame(b"1")

    def _bind(self, body: bytes) -> None:
        portal, source, rest = body.split(b"\0", 2)
        if source.decode() not in self._statements:
            raise Failed("26000")
        text = self._statements[source.decode()]
        if text:
            self._command(text)
        if portal and portal.decode() in self._portals:
            raise Failed("42P03")
        self._portals[portal.decode()] = Portal(text, self._values(rest))
        self.said += frame(b"2")

    def _values(self, rest: bytes) -> bytes:
        """Format, length and bytes of each parameter, one after another."""
        (count,) = unpack_from(">H", rest)
        forms, at = unpack_from(f">{count}H", rest, 2), 2 + 2 * count
        (number,) = unpack_from(">H", rest, at)
        at, out = at + 2, b""
        for place in range(number):
            form = forms[0] if count == 1 else forms[place] if count else 0
            (length,) = unpack_from(">i", rest, at)
            out += pack(">H", form) + rest[at : at + 4 + max(length, 0)]
            at += 4 + max(length, 0)
        return out

    def _describe(self, body: bytes) -> None:
        known = self._statements if body[:1] == b"S" else self._portals
        found = known.get(body[1:-1].decode())
        if found is None:
            raise Failed("26000" if body[:1] == b"S" else "34000")
        text = found.text if isinstance(found, Portal) else found
        rows = text.lower().startswith("select")
        if rows:
            self._command(text)
        self.said += frame(b"t", pack(">H", 0)) if body[:1] == b"S" else b""
        self.said += self._columns() if rows else frame(b"n")

    def _execute(self, body: bytes) -> None:
        name, limit = body[:-5].decode(), unpack_from(">i", body, len(body) - 4)[0]
        portal = self._portals.get(name)
        if portal is None:
            raise Failed("34000")
        if not portal.text:
            self.said += frame(b"I")
            return
        word = self._command(portal.text)
        if word == "select":
            self._fetch(portal, limit)
            return
        if portal.done:
            raise Failed("55000")
        portal.done = True
        if word == "copy":
            self.ran(portal.text, portal.parameters, portal.text)
            self._copied(portal.text, "extended")
            return
        self.said += frame(b"C", self._run(portal.text, portal.parameters).encode() + b"\0")

    def _fetch(self, portal: Portal, limit: int) -> None:
        self.ran(portal.text, portal.parameters, portal.text)
        count = min(portal.left, limit) if limit > 0 else portal.left
        portal.left -= count
        self.said += self._row(portal.text) * count
        suspended = limit > 0 and count == limit
        self.said += frame(b"s") if suspended else frame(b"C", f"SELECT {count}".encode() + b"\0")

    def _close(self, body: bytes) -> None:
        known: dict[str, str] | dict[str, Portal] = self._statements if body[:1] == b"S" else self._portals
        known.pop(body[1:-1].decode(), None)
        self.said += frame(b"3")

    def _columns(self) -> bytes:
        return frame(b"T", pack(">H", 1) + b"text\0" + pack(">IhIhih", 0, 0, 25, -1, -1, 0))

    def _row(self, text: str) -> bytes:
        value = text.encode("utf-8", "surrogateescape")
        return frame(b"D", pack(">Hi", 1, len(value)) + value)

    # COPY

    def _copied(self, text: str, how: str) -> bool:
        """Begin a COPY; whether it is over already."""
        if text.lower().split()[1:2] == ["in"]:
            self._copy = how
            self.said += frame(b"G", b"\0\0\1\0\0")
            return False
        if text.lower().split()[1:2] != ["out"]:
            raise Failed("42601")
        self.said += frame(b"H", b"\0\0\1\0\0") + frame(b"d", b"line\n") * 2 + frame(b"c") + frame(b"C", b"COPY 2\0")
        return True

    def _copying(self, tag: bytes, body: bytes) -> None:
        how = self._copy
        code = {b"c": "", b"f": "57014", b"X": "08P01"}.get(tag, "08P01")
        if tag in (b"H", b"S") or (tag == b"d" and b"bad" not in body):
            return
        self._copy = ""
        if tag == b"X":
            self.over = True
        elif tag == b"c":
            self.said += frame(b"C", b"COPY 1\0")
            if how == "simple":
                self._guarded(lambda _: self._go_on(), b"")
        else:
            self._fail("22P02" if tag == b"d" else code, simple=how == "simple")
