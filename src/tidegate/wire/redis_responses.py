"""The upstream's direction: replies in the order of the commands, messages that answer nothing, masks.

A reply that nothing is masked in passes as it comes, and only its end is looked for. One that may have a mask in it is
held until it is whole, up to a limit; beyond that the agent gets an error in its place. What answers nothing (messages
of channels, invalidated keys) is an operation of its own. Errors are reduced where they could show a masked value, and
never send an agent elsewhere (MOVED, ASK).
"""

from __future__ import annotations

from typing import Final

from tidegate.errors import ResourceError
from tidegate.model.operation import Facts, Operation, Outcome, Results, Shape, Verb
from tidegate.model.resource import Field
from tidegate.model.verdict import Refuse

from ._frames import Spans
from .redis_exchange import CHANNELS, CONFIRM, EXEC, OWN, SWALLOW, Exchange, Expected, Plan, Understand
from .redis_frames import (
    AGGREGATES,
    ARRAY,
    BLOB_ERROR,
    BULK,
    CRLF,
    ERROR,
    LINE,
    PUSH,
    SCALARS,
    Scanner,
    bulk,
    garbled,
    items,
    number,
)  # fmt: skip
from .redis_masks import VALUE, Masks, name
from .redis_requests import error_line

PASS: Final = 1
KEEP: Final = 2
DROP: Final = 3

OK: Final = Outcome("ok")
NEVER: Final = Outcome("refused", "wire.never")
EXCESS: Final = Refuse(
    "limit.rows", "tidegate", "the reply has more values than the policy allows", "Ask for fewer values at a time."
)
TOO_LARGE: Final = Refuse(
    "limit.message", "tidegate", "the reply is longer than what can be masked", "Ask for fewer values at a time."
)
ELSEWHERE: Final = frozenset({"MOVED", "ASK", "CLUSTERDOWN", "CROSSSLOT", "TRYAGAIN"})
CLUSTER: Final = b"-ERR the resource is part of a cluster, which is not supported (code resource.cluster)\r\n"
RIGHTS: Final = b"-NOPERM the resource's own login may not do this (code resource.rights)\r\n"
SENTENCE: Final = b" the text is withheld, because it could show a masked value\r\n"
MESSAGES: Final = {b"message": 3, b"pmessage": 4, b"smessage": 3, b"invalidate": 2}
"""What comes unasked, and how many parts it has."""

PARTS: Final = 4
CHANNELS_OPEN: Final = 100_000
LARGEST: Final = 16
"""How many times the limit of a command the replies may have that are held."""


class Responses:
    """``masks``: the resource has tags or detectors; ``detect``: it has detectors, which look at every value."""

    def __init__(self, exchange: Exchange, understand: Understand, limit: int, *, masks: bool, detect: bool) -> None:
        self._exchange = exchange
        self._understand = understand
        self._limit = limit * LARGEST
        self._masks = masks
        self._detect = detect
        self._held = b""
        self._scanner: Scanner | None = None
        self._mode = PASS
        self._kept: list[bytes] = []
        self._size = 0
        self._counted = 0
        self._instead: Refuse | None = None
        self._unasked = False
        self._inner = 0
        self._ended = 0
        self._results: Results
        self._spans: Spans

    @property
    def partial(self) -> bool:
        """Whether the agent has the beginning of a reply whose rest is still to come."""
        return self._inner > 0 or (self._scanner is not None and self._mode == PASS and self._size > 0)

    def take(self, data: bytes, results: Results) -> bytes:
        """What the agent sees of this. Raises ResourceError."""
        self._results = results
        if self._held:
            data, self._held = self._held + data, b""
        self._spans = Spans(data)
        at, end = 0, len(data)
        while True:
            self._own(at)
            if at == end:
                break
            if self._scanner is None and not self._begin(data, at):
                self._hold(data, at)
                break
            if self._scanner is not None:
                reached = self._go_on(data, at)
                if reached == at and self._scanner is not None:
                    self._hold(data, at)
                    break
                at = reached
            else:
                at = self._ended
        return self._spans.finish(at)

    def _hold(self, data: bytes, at: int) -> None:
        self._held = data[at:]
        if len(self._held) > LINE + 2:
            raise garbled("a line is too long")

    def _own(self, at: int) -> None:
        """Give the gateway's own answers that are due now."""
        due = self._exchange.due
        while due and due[0].kind == OWN and self._scanner is None and not self._inner:
            self._spans.replace(at, at, self._exchange.answered().answer)

    # the beginning of a reply

    def _begin(self, data: bytes, at: int) -> bool:
        """A reply begins at ``at``; False if too little of it is there. One that is done already sets ``_ended``."""
        kind = data[at]
        stop = data.find(CRLF, at, at + LINE)
        if stop < 0:
            return False
        exchange = self._exchange
        self._unasked = kind == PUSH or (kind == ARRAY and exchange.protocol == 2 and self._confirming())
        if self._unasked:
            if self._inner:
                raise garbled("a message stands within the replies of a transaction")
            self._start(KEEP)
            return True
        if not exchange.due:
            raise garbled("nothing asked for it")
        expected = exchange.due[0]
        if kind == ERROR:
            self._ended = stop + 2
            self._failed(data, at, stop + 2)
        elif expected.kind == SWALLOW:
            self._start(DROP)
        elif expected.kind == CONFIRM:
            raise garbled("it is no confirmation of a subscription")
        elif expected.kind == EXEC:
            self._ended = stop + 2
            self._transaction(expected, data, at, stop)
        else:
            self._reply(expected, kind, data, at, stop)
        return True

    def _confirming(self) -> bool:
        due = self._exchange.due
        return self._exchange.subscribed or (bool(due) and due[0].kind == CONFIRM)

    def _start(self, mode: int) -> None:
        self._scanner = Scanner()
        self._mode = mode
        self._kept = []
        self._size = 0
        if mode != PASS:
            self._counted = 0

    def _reply(self, expected: Expected, kind: int, data: bytes, at: int, stop: int) -> None:
        """A reply passes, is kept for its masks, or is dropped since there is too much of it."""
        operation, plan = expected.operation, expected.plan
        assert operation is not None and plan is not None
        self._instead = None
        self._counted = 0
        if kind == BLOB_ERROR or self._masked(operation, plan):
            self._start(KEEP)
            return
        end = _end(kind, data, at, stop)
        if end < 0:
            self._start(self._way(operation, kind, data, at, stop))
            return
        # The usual: a status, a number or a string that is all there.
        self._ended = end
        if self._results.rows(operation, int(kind == BULK and end > stop + 2), end - at, ()):
            self._done(expected, OK)
        else:
            self._instead = EXCESS
            self._spans.replace(at, end, self._dropped())

    def _way(self, operation: Operation, kind: int, data: bytes, at: int, stop: int) -> int:
        """Whether what comes in pieces passes: its first line says how much it is."""
        if kind in AGGREGATES:
            self._counted = max(0, items(data, at, stop))
        elif kind == BULK:
            self._counted = int(number(data, at + 1, stop) >= 0)
        if self._counted and not self._results.rows(operation, self._counted, 0, ()):
            self._instead = EXCESS
            return DROP
        return PASS

    def _masked(self, operation: Operation, plan: Plan) -> bool:
        kind = plan.kind.name
        if not self._masks or kind == "NONE":
            return False
        return self._detect or kind == "UNTRACED" or self._results.conceal(operation)

    # through a reply

    def _go_on(self, data: bytes, at: int) -> int:
        scanner = self._scanner
        assert scanner is not None
        end = scanner.feed(data, at)
        self._size += end - at
        if self._mode == PASS:
            if scanner.done:
                self._passed()
            elif scanner.leaves > self._counted:
                self._count(scanner.leaves)
        elif self._mode == DROP:
            if scanner.done:
                self._scanner = None
                self._spans.replace(at, end, self._dropped())
            elif end > at:
                self._spans.replace(at, end, b"")
        elif scanner.done and not self._kept:
            self._scanner = None
            whole = data[at:end]
            shown = self._whole(whole)
            if shown is not whole:
                self._spans.replace(at, end, shown)
        elif end > at:
            self._keep(data, at, end)
        return end

    def _keep(self, data: bytes, at: int, end: int) -> None:
        self._kept.append(data[at:end])
        assert self._scanner is not None
        if self._scanner.done:
            self._scanner = None
            whole, self._kept = b"".join(self._kept), []
            self._spans.replace(at, end, self._whole(whole))
        else:
            self._spans.replace(at, end, b"")
            if self._size > self._limit:
                if self._unasked:
                    raise ResourceError("The upstream sent a message that is too long.", code="limit.message")
                self._kept, self._mode, self._instead = [], DROP, TOO_LARGE

    def _count(self, leaves: int) -> None:
        """More values show than the reply's first line said. Raises ResourceError."""
        operation = self._exchange.due[0].operation
        more, self._counted = leaves - self._counted, leaves
        if operation is not None and not self._results.rows(operation, more, 0, ()):
            raise ResourceError(EXCESS.reason, hint=EXCESS.hint, code=EXCESS.code)

    def _passed(self) -> None:
        scanner, self._scanner = self._scanner, None
        assert scanner is not None
        expected = self._exchange.due[0]
        operation = expected.operation
        assert operation is not None
        self._results.rows(operation, max(0, scanner.leaves - self._counted), self._size, ())
        self._done(expected, OK)

    def _dropped(self) -> bytes:
        """What stands in place of a reply that is not shown."""
        expected = self._exchange.due[0]
        if expected.kind == SWALLOW:
            self._swallowed()
            return expected.answer
        assert self._instead is not None
        self._done(expected, Outcome("refused", self._instead.code))
        return error_line(self._instead)

    def _whole(self, data: bytes) -> bytes:
        """What is shown of a reply, or message, that was held."""
        if self._unasked:
            return self._message(data)
        expected = self._exchange.due[0]
        operation, plan = expected.operation, expected.plan
        assert operation is not None and plan is not None
        if data[0] == BLOB_ERROR:
            return self._blob_error(expected, data)
        scanner = Scanner()
        scanner.feed(data, 0)
        if not self._results.rows(operation, scanner.leaves, len(data), ()):
            self._instead = EXCESS
            return self._dropped()
        shown = Masks(operation, plan, self._results, self._exchange.protocol).reply(data)
        self._done(expected, OK)
        return shown

    # the end of a reply

    def _done(self, expected: Expected, outcome: Outcome) -> None:
        exchange = self._exchange
        exchange.answered()
        if outcome.status != "error" and expected.number >= 0:
            if expected.name == "select":
                exchange.database = expected.number
            else:
                exchange.protocol = expected.number
        if self._inner:
            self._inner -= 1
        if expected.operation is not None:
            self._results.done(expected.operation, outcome)

    def _swallowed(self) -> None:
        expected = self._exchange.answered()
        if expected.operation is not None:
            self._results.done(expected.operation, NEVER)

    def _failed(self, data: bytes, at: int, end: int) -> None:
        """The command that is due failed."""
        expected = self._exchange.due[0]
        if expected.kind == SWALLOW:
            self._spans.replace(at, end, expected.answer)
            self._swallowed()
            return
        line = data[at:end]
        shown = self._said(expected, line)
        if shown is not line:
            self._spans.replace(at, end, shown)

    def _said(self, expected: Expected, line: bytes) -> bytes:
        """What is shown of an error, with which the command, or each of its transaction, is done."""
        code = _code(line)
        shown = line
        if code in ELSEWHERE:
            shown = CLUSTER
        elif code == "NOPERM":
            shown = RIGHTS
        elif any([self._results.conceal(each.operation) for each in expected.inner or (expected,)]):
            shown = b"-" + code.encode() + SENTENCE
        outcome = Outcome("error", code)
        for each in expected.inner:
            if each.operation is not None:
                self._results.done(each.operation, outcome)
        self._done(expected, outcome)
        return shown

    def _blob_error(self, expected: Expected, data: bytes) -> bytes:
        text = data[data.index(CRLF) + 2 : -2]
        line = b"-" + b" ".join(text.split()) + CRLF
        shown = self._said(expected, line)
        return data if shown is line else shown

    def _transaction(self, expected: Expected, data: bytes, at: int, stop: int) -> None:
        """The replies of a transaction follow, or it was not run because a watched key has changed."""
        kind = data[at]
        if data[at : stop + 2] in (b"*-1\r\n", b"_\r\n", b"$-1\r\n"):
            outcome = Outcome("skipped")
            for each in expected.inner:
                if each.operation is not None:
                    self._results.done(each.operation, outcome)
            self._done(expected, OK if not expected.inner else outcome)
            return
        if kind != ARRAY or items(data, at, stop) != len(expected.inner):
            raise garbled("a transaction has not as many replies as commands")
        self._done(expected, OK)
        if expected.inner:
            # Until all of them are answered the request is not.
            self._exchange.nest(expected.inner)
            self._inner = len(expected.inner)

    # what answers nothing

    def _message(self, data: bytes) -> bytes:
        parts = _parts(data)
        word = (parts[0] or b"").lower() if parts else b""
        due = self._exchange.due
        expected = due[0] if due else None
        if expected is not None and expected.kind == CONFIRM and expected.name.encode() == word and len(parts) == 3:
            self._confirmed(expected, word, parts[1])
            return data
        if data[0] == ARRAY and word not in MESSAGES:
            return self._other(data)
        if word in CHANNELS and len(parts) == 3 and word.endswith(b"unsubscribe"):
            self._exchange.channels[CHANNELS[word]].discard(parts[1] or b"")
        if word not in CHANNELS and MESSAGES.get(word) != len(parts):
            raise garbled("it is a message of an unknown kind")
        facts = self._arrival(word, parts, data)
        operation = Operation(facts, anew=lambda: facts)
        field = Field(facts.reads[0] if facts.reads else "", VALUE)
        mask = None
        if self._masks and word.endswith(b"message"):
            mask = self._results.value(operation, field, Shape.TEXT)
        clear = parts[-1] or b""
        shown = clear if mask is None else mask(clear)
        masked = {} if shown == clear else {str(field): 1}
        if not self._results.arrived(operation, len(data), masked):
            return b""
        if not masked:
            return data
        return b"%c%d\r\n" % (data[0], len(parts)) + b"".join([bulk(part or b"") for part in [*parts[:-1], shown]])

    def _other(self, data: bytes) -> bytes:
        """In RESP2 replies look like messages: this is the reply to PING while there are subscriptions."""
        due = self._exchange.due
        if not due or due[0].kind in (CONFIRM, EXEC):
            raise garbled("it is neither a message nor a reply")
        self._unasked = False
        if due[0].kind == SWALLOW:
            answer = due[0].answer
            self._swallowed()
            return answer
        return self._whole(data)

    def _confirmed(self, expected: Expected, word: bytes, channel: bytes | None) -> None:
        channels = self._exchange.channels[CHANNELS[word]]
        if expected.count < 0:
            expected.count = max(1, len(channels))
        if word.endswith(b"unsubscribe"):
            channels.discard(channel or b"")
        else:
            channels.add(channel or b"")
            if len(channels) > CHANNELS_OPEN:
                raise ResourceError("The session has too many subscriptions.", code="limit.channels")
        expected.count -= 1
        if not expected.count:
            self._done(expected, OK)

    def _arrival(self, word: bytes, parts: list[bytes | None], data: bytes) -> Facts:
        """What policy sees of a message: a read of its channel, or of the keys that are invalid."""
        said = word.decode("ascii", "replace")
        if word == b"invalidate":
            keys = _keys(data)
            args = [b"EXISTS", *keys] if keys else [b"DBSIZE"]
            text = f"{said} {len(keys)} keys" if keys else f"{said} every key"
        else:
            channel = parts[-2] if word in MESSAGES else parts[1]
            args, text = (
                [b"SUBSCRIBE", channel or b""],
                f"{said} on {name(channel or b'')}",
            )
        reads = self._understand(args, self._exchange.database).facts.reads
        return Facts(
            Verb.READ, said, text, reads, effect=False, outputs=(), filters=frozenset(),
            details={"commands": [said], "database": self._exchange.database},
        )  # fmt: skip


def _end(kind: int, data: bytes, at: int, stop: int) -> int:
    """Where a reply ends that is no aggregate and all there; -1 otherwise. Raises ResourceError."""
    if kind in SCALARS:
        return stop + 2
    if kind != BULK:
        return -1
    length = number(data, at + 1, stop)
    if length == -1:
        return stop + 2
    end = stop + 4 + length
    if length < 0 or end > len(data):
        return -1
    if data[end - 2] != 13 or data[end - 1] != 10:
        raise garbled("a string does not end where it should")
    return end


def _code(line: bytes) -> str:
    """The first word of an error, if it is a code."""
    word = line[1:].split(None, 1)[0] if len(line) > 3 else b""
    return word.decode() if word.isupper() and word.isalnum() and len(word) <= 20 else "ERR"


def _parts(data: bytes) -> list[bytes | None]:
    """The parts of a message, None for what is no string. Raises ResourceError."""
    stop = data.index(CRLF)
    count, at = items(data, 0, stop), stop + 2
    if count > PARTS:
        return []
    parts: list[bytes | None] = []
    for _ in range(max(0, count)):
        scanner = Scanner()
        end = scanner.feed(data, at)
        parts.append(_string(data, at, end))
        at = end
    return parts


def _string(data: bytes, at: int, end: int) -> bytes | None:
    if data[at] != BULK or data[at + 1] == 45:
        return None
    return data[data.index(CRLF, at) + 2 : end - 2]


def _keys(data: bytes) -> list[bytes]:
    """The keys of an invalidation, none when all are meant. Raises ResourceError."""
    first = Scanner()
    at = first.feed(data, data.index(CRLF) + 2)
    if data[at] not in AGGREGATES:
        return []
    stop = data.index(CRLF, at)
    count, at = items(data, at, stop), stop + 2
    keys = []
    for _ in range(max(0, count)):
        scanner = Scanner()
        end = scanner.feed(data, at)
        key = _string(data, at, end)
        if key is None:
            raise garbled("a key is no string")
        keys.append(key)
        at = end
    return keys
