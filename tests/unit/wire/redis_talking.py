"""Commands and replies of Redis for tests, a playbook with the real table of commands, and a Watcher that masks."""

from __future__ import annotations

from collections.abc import Sequence

from playbook import Playbook, Watcher
from tidegate.model.operation import Operation, Shape, Transform
from tidegate.model.resource import Field
from tidegate.model.verdict import Refuse
from tidegate.operations.redis import Rules, Understood, understand
from tidegate.protocols.redis import misfit
from tidegate.wire.redis import RedisWire

NO = Refuse("policy.refused", "no-deletes", "it deletes", "Ask a person.", "s/1")
SAID = b'refused by rule "no-deletes": it deletes (Ask a person.; code policy.refused; request s/1)\r\n'
REFUSED = b"-NOPERM " + SAID
OK = b"+OK\r\n"


def command(*words: str | bytes) -> bytes:
    """A command as an array of bulk strings."""
    return array(*(bulk(word) for word in words))


def bulk(value: str | bytes) -> bytes:
    """A bulk string."""
    raw = value.encode() if isinstance(value, str) else value
    return b"$%d\r\n%b\r\n" % (len(raw), raw)


def array(*items: bytes, kind: bytes = b"*") -> bytes:
    """An aggregate."""
    count = len(items) // 2 if kind == b"%" else len(items)
    return kind + b"%d\r\n" % count + b"".join(items)


class Masker(Watcher):
    """Masks fields by ``object.name``; an untraced value by ``unknown``; asks for arrivals as well."""

    def __init__(self, masks: dict[str, str] | None = None, **words: object) -> None:
        super().__init__(**words)  # type: ignore[arg-type]
        self.hidden = masks or {}
        self.fields: dict[str, int] = {}

    def value(self, operation: Operation, field: Field | None, shape: Shape) -> Transform | None:
        word = self.hidden.get(str(field) if field is not None else "unknown")
        if word is None:
            return None
        return lambda clear: word.encode() if shape is Shape.TEXT else None

    def replaced(self, operation: Operation, field: Field | None, values: int) -> None:
        super().replaced(operation, field, values)
        name = str(field) if field is not None else "unknown"
        self.fields[name] = self.fields.get(name, 0) + values


def understood(args: Sequence[bytes], database: int) -> Understood:
    """By the shipped table; one script may run."""
    return understand(args, database, Rules(frozenset({"e0e1f9fabfc9d4800c877a703b823ac0578ff8db"})))


def wire(limit: int = 4096, **words: object) -> RedisWire:
    """A wire with the real table."""
    return RedisWire(understood, misfit, limit, **words)  # type: ignore[arg-type]


def play(results: Watcher | None = None, **words: object) -> Playbook:
    """A playbook; replies are shown a line each."""
    return Playbook(wire(**words), results or Masker(), show=lambda data: [repr(line) for line in data.split(b"\r\n")])
