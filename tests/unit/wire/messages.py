"""Messages of the PostgreSQL protocol for tests, and a playbook that shows them one a line."""

from __future__ import annotations

import re
from dataclasses import replace
from struct import pack

from playbook import Playbook, Watcher
from tidegate.model.operation import Facts, Verb
from tidegate.model.resource import Field
from tidegate.model.verdict import Refuse
from tidegate.wire.postgres import PostgresWire

NO = Refuse("policy.refused", "no-deletes", "it deletes", "Ask a person.", "s/1")
SYNC, FLUSH, BYE = b"S\0\0\0\4", b"H\0\0\0\4", b"X\0\0\0\4"
FAILING = b"P\0\0\0\x23tidegate\0refused by tidegate\0\0\0"
TEXT, JSON, JSONB, INT = 25, 114, 3802, 23


def frame(tag: str, body: bytes = b"") -> bytes:
    """Any message."""
    return tag.encode() + pack(">I", len(body) + 4) + body


def query(text: str) -> bytes:
    """Query."""
    return frame("Q", text.encode() + b"\0")


def parse(name: str, text: str) -> bytes:
    """Parse without parameter types."""
    return frame("P", f"{name}\0{text}\0".encode() + pack(">H", 0))


def bind(portal: str = "", statement: str = "", *values: bytes | None) -> bytes:
    """Bind with text values."""
    cells = b"".join(pack(">i", -1) if value is None else pack(">i", len(value)) + value for value in values)
    return frame("B", f"{portal}\0{statement}\0".encode() + pack(">HH", 0, len(values)) + cells + pack(">H", 0))


def execute(portal: str = "") -> bytes:
    """Execute without a limit on rows."""
    return frame("E", portal.encode() + b"\0" + pack(">I", 0))


def describe(kind: str, name: str = "") -> bytes:
    """Describe of a statement (S) or portal (P)."""
    return frame("D", f"{kind}{name}\0".encode())


def close(kind: str, name: str = "") -> bytes:
    """Close of a statement (S) or portal (P)."""
    return frame("C", f"{kind}{name}\0".encode())


def ready(status: str = "I") -> bytes:
    """ReadyForQuery."""
    return frame("Z", status.encode())


def complete(tag: str = "SELECT 1") -> bytes:
    """CommandComplete."""
    return frame("C", tag.encode() + b"\0")


def columns(*named: str, kind: int = TEXT, table: int = 0, binary: bool = False) -> bytes:
    """RowDescription."""
    fields = b"".join(
        name.encode() + b"\0" + pack(">IhIhih", table, at, kind, -1, -1, binary) for at, name in enumerate(named, 1)
    )
    return frame("T", pack(">H", len(named)) + fields)


def row(*values: bytes | None) -> bytes:
    """DataRow."""
    cells = b"".join(pack(">i", -1) if value is None else pack(">i", len(value)) + value for value in values)
    return frame("D", pack(">H", len(values)) + cells)


def error(code: str = "42601", text: str = "broken", detail: str = "", severity: str = "ERROR") -> bytes:
    """ErrorResponse."""
    parts = f"S{severity}\0V{severity}\0C{code}\0M{text}\0" + (f"D{detail}\0" if detail else "")
    return frame("E", parts.encode() + b"\0")


def refusal(refuse: Refuse = NO, code: str = "42501") -> bytes:
    """The ErrorResponse that a refusal becomes."""
    detail = f'{{"code": "{refuse.code}", "rule": "{refuse.rule}", "request": "{refuse.request}"}}'
    text = f'refused by rule "{refuse.rule}": {refuse.reason}'
    parts = f"SERROR\0VERROR\0C{code}\0M{text}\0D{detail}\0H{refuse.hint}\0"
    return frame("E", parts.encode() + b"\0")


def replies(data: bytes) -> list[str]:
    """One line a message."""
    lines = []
    while data:
        size = 1 + int.from_bytes(data[1:5], "big")
        lines.append(f"{data[:1].decode('latin-1')} {data[5:size]!r}")
        data = data[max(size, 5) :]
    return lines


def classify(text: str) -> tuple[Facts, ...]:
    """One statement per semicolon; reads begin with select, PREPARE and DECLARE are what they carry."""
    texts = [part.strip() for part in text.split(";") if part.strip()]
    return tuple(_facts(part) for part in texts)


def _facts(text: str) -> Facts:
    command = text.split()[0].lower()
    if command in MAKING:
        made, (title, key) = _facts(re.split(r" (?:as|for) ", text, maxsplit=1)[1]), MAKING[command]
        details = {key: text.split()[1], "commands": [title, made.command], "holds": "with hold" in text}
        return replace(made, command=title, text=text, details=details)
    verb = Verb.READ if command == "select" else VERBS.get(command, Verb.WRITE)
    details = {NAMED[command]: text.split()[-1].partition("(")[0]} if command in NAMED else {}
    return Facts(verb, command, text, effect=verb is not Verb.READ, details={**details, "commands": [command]})


MAKING = {"prepare": ("prepare", "prepared"), "declare": ("declare cursor", "cursor")}
NAMED = {"execute": "prepared", "deallocate": "prepared", "fetch": "cursor", "move": "cursor", "close": "cursor"}
VERBS = {
    **dict.fromkeys(("begin", "commit", "rollback", "deallocate", "close"), Verb.SESSION),
    **dict.fromkeys(("execute", "fetch", "move"), Verb.EXECUTE),
}


class Catalog:
    """Knows table 1 as ``public.people``."""

    def column(self, oid: int, attribute: int) -> tuple[Field | None, bool]:
        return (Field("public.people", f"c{attribute}"), False) if oid == 1 else (None, True)


CATALOG = Catalog()


def wire(limit: int = 2**20) -> PostgresWire:
    """A wire whose catalog knows table 1 as ``public.people``."""
    return PostgresWire(classify, lambda: CATALOG, limit)


def play(results: Watcher | None = None, limit: int = 2**20) -> Playbook:
    """A fresh conversation."""
    return Playbook(wire(limit), results, replies)
