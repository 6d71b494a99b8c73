"""The agent's direction: commands become requests, transactions one request, and what the gateway answers itself.

- Each command of a pipeline is a request of its own, so that each is judged.
- MULTI and what follows it stay here and are answered as the server would; EXEC is one request with all of them. When
  it is allowed they are forwarded in one piece; when it is refused the upstream has seen nothing of it.
- A value that is too large to be held is judged by what precedes it, and passes as it comes.
- What no rule may allow (``NEVER``) is judged like all else, so that it is in evidence; instead of it the upstream gets
  a PING.
- Behind SELECT and HELLO the agent waits for the answer: commands mean something else then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from tidegate.errors import AgentError
from tidegate.model.operation import STREAMED, Facts, Operation, Request, Verb
from tidegate.model.verdict import Refuse

from .redis_exchange import CHANNELS, CONFIRM, EXEC, OWN, REPLY, SWALLOW, Exchange, Expected, Understand, Understood
from .redis_frames import ARRAY, CRLF, Command, encoded, inline, number

NEVER: Final = frozenset({"auth", "client reply", "monitor", "psync", "replconf", "sync"})
"""Commands after which nobody could follow the session, or that would get around the gateway."""

STATE: Final = frozenset({"hello", "select"})
"""Commands whose effect on the connection must be known."""

UNKNOWN: Final = Verb.UNKNOWN
SHOWN: Final = 512
"""Bytes of a command that its text holds whole; a longer one is among the parameters as it came."""

KEPT: Final = 512
"""Short commands that one session remembers what they are."""

PENDING: Final = 10_000
"""Commands without an answer, beyond which the agent waits: a server may read on while one of them blocks."""

QUEUED: Final = 10_000
"""Commands of one transaction."""

ALONE: Final = frozenset(
    {*(name.decode() for name in CHANNELS), "select", "hello", "client tracking", "client caching"}
)
"""Commands that a transaction may not hold here: its later commands, or their replies, would mean something else."""

CREDENTIALS: Final = frozenset({b"auth", b"hello"})
"""Commands that may carry a credential, which is neither recorded nor in evidence; with one they are not forwarded."""

OVER_LIMIT: Final = "limit.message"
PING: Final = b"*1\r\n$4\r\nPING\r\n"
MULTI: Final = b"*1\r\n$5\r\nMULTI\r\n"
EXECUTE: Final = b"*1\r\n$4\r\nEXEC\r\n"
UNWATCH: Final = b"*1\r\n$7\r\nUNWATCH\r\n"
OK: Final = b"+OK\r\n"
IN_LINE: Final = b"+QUEUED\r\n"
ABORTED: Final = b"-EXECABORT Transaction discarded because of previous errors.\r\n"

Misfit = Callable[[Sequence[bytes]], str]
"""The server's error for a command that it would not even queue; empty for others."""


class Queued:
    """One command of a transaction."""

    __slots__ = ("raw", "understood")

    def __init__(self, raw: bytes, understood: Understood) -> None:
        self.raw: Final = raw
        self.understood: Final = understood


class Planned:
    """The request that was given last: what to forward, which replies that makes due, and how a refusal is said.

    ``abandons``: refused, the upstream must forget the keys it watches. ``swallows``: it is the beginning of a command
    whose rest is still to come. ``never``: the answer to what is forwarded under no rule.
    """

    __slots__ = ("abandons", "barrier", "data", "due", "never", "swallows", "watching", "word")

    def __init__(self, data: bytes, due: list[Expected]) -> None:
        self.data: Final = data
        self.due: Final = due
        self.abandons = False
        self.barrier = False
        self.swallows = False
        self.watching: bool | None = None
        self.never = ""
        self.word = b"NOPERM"


class Requests:
    """``limit`` is the most bytes of a command, and of a transaction, that are held."""

    def __init__(self, exchange: Exchange, understand: Understand, misfit: Misfit, limit: int) -> None:
        self._exchange = exchange
        self._understand = understand
        self._misfit = misfit
        self._limit = limit
        self._buffer = b""
        self._at = 0
        self._command = Command(limit)
        self._kept: dict[tuple[int, bytes], Understood] = {}
        self._queue: list[Queued] | None = None
        self._queued = 0
        self._aborted = False
        self._watching = False
        self._barrier = False
        self._streaming = 0
        self._dropping = 0
        self._arguments = 0
        self._planned = Planned(b"", [])
        self.waiting = False
        self.over = False

    @property
    def buffered(self) -> int:
        """Bytes that make no request yet."""
        return len(self._buffer) - self._at

    @property
    def rest(self) -> bytes:
        """Bytes that were not taken."""
        return self._buffer[self._at :]

    def feed(self, data: bytes) -> None:
        """More of the agent's bytes."""
        self._buffer = self._buffer[self._at :] + data if self._at < len(self._buffer) else data
        self._at = 0

    def next(self) -> Request | None:
        """The next request. Raises AgentError."""
        pending = self._exchange.pending
        self.waiting = pending >= PENDING or (self._barrier and pending > 0)
        if self.waiting:
            return None
        self._barrier = False
        while self._at < len(self._buffer):
            if self._streaming:
                return self._streamed()
            if self._dropping or self._arguments:
                if not self._drop():
                    return None
                continue
            start = self._at
            args = self._taken()
            if args is None:
                return self._oversized() if self._command.oversized >= 0 else None
            if args:
                request = self._one(args, start)
                if request is not None:
                    return request
                if self._waits():
                    return None
        return None

    def _waits(self) -> bool:
        """Whether the command that was just taken makes the next ones wait."""
        return self.waiting

    def planned(self) -> Planned:
        """What belongs to the request that was given last."""
        return self._planned

    def forward(self, request: Request) -> bytes:
        """The bytes for an allowed request."""
        if request.continues:
            return request.raw
        planned = self._planned
        if planned.watching is not None:
            self._watching = planned.watching
        if planned.swallows:
            self._begun(streams=not planned.never)
        self._barrier = planned.barrier
        self._exchange.expect(planned.due)
        return planned.data

    def refused(self) -> Planned:
        """The request that was given last is refused."""
        planned = self._planned
        if planned.swallows:
            self._begun(streams=False)
        planned.abandons = planned.abandons and self._watching
        if planned.abandons:
            self._watching = False
            self._exchange.expect([Expected(SWALLOW)])
        return planned

    # framing

    def _taken(self) -> list[bytes] | None:
        """The arguments of the next command, taken from the buffer; None if it is not there yet."""
        data, start = self._buffer, self._at
        if data[start] != ARRAY:
            found = inline(data, start)
            if found is None:
                return None
            args, self._at = found
            return args
        end = self._command.take(data, start)
        if end < 0:
            return None
        args, self._command, self._at = self._command.args, Command(self._limit), end
        return args

    def _streamed(self) -> Request | None:
        """A piece of a value whose beginning was allowed; its end comes whole. Raises AgentError."""
        size = min(self._streaming, self.buffered)
        if size < self._streaming:
            size = min(size, self._streaming - 2)
        if not size:
            return None
        piece = self._buffer[self._at : self._at + size]
        if size == self._streaming and not piece.endswith(CRLF):
            raise AgentError("Protocol error: a bulk string does not end where it should")
        self._at += size
        self._streaming -= size
        return Request(piece, continues=True)

    def _begun(self, *, streams: bool) -> None:
        """The beginning of an oversized command was taken; its rest passes as it comes, or is skipped."""
        left = self._command.length + 2
        if streams:
            self._streaming = left
        else:
            self._dropping, self._arguments = left, self._command.remaining - 1
        self._command = Command(self._limit)

    def _drop(self) -> bool:
        """Skip what is left of a command that was refused before it was there; False if more is to come."""
        step = min(self._dropping, self.buffered)
        self._at += step
        self._dropping -= step
        if self._dropping or not self._arguments or self._at == len(self._buffer):
            return not self._dropping and self._at < len(self._buffer)
        stop = self._buffer.find(CRLF, self._at, self._at + 34)
        if stop < 0 and self.buffered <= 32:
            return False
        length = number(self._buffer, self._at + 1, stop) if stop > 0 and self._buffer[self._at] == 36 else -2
        if length < 0:
            raise AgentError("Protocol error: invalid bulk length")
        self._at, self._dropping = stop + 2, length + 2
        self._arguments -= 1
        return True

    def _oversized(self) -> Request:
        """A command that is too large to be held: its last argument may follow, if it is a value and no key."""
        command = self._command
        start, stop = self._at, self._at + command.at
        raw = self._buffer[start:stop]
        self._at = stop
        args = command.args
        if args and args[0].lower() in CREDENTIALS:
            args = args[:1]
            raw = encoded(args)
        understood = self._without(args) if command.remaining == 1 and self._queue is None else None
        if understood is not None:
            operation = Operation(understood.facts, STREAMED, declared=self._place())
            self._planned = Planned(raw, [Expected(REPLY, operation, understood.reply, understood.name)])
        else:
            facts = self._unheld(args)
            operation = Operation(facts, STREAMED, declared=self._place(), anew=lambda: facts)
            self._planned = self._instead(facts.reason, operation)
            self._aborted = self._queue is not None
        self._planned.swallows = True
        return Request(raw, (operation,))

    def _without(self, args: list[bytes]) -> Understood | None:
        """What a command is whose last argument is not known, if that is the same whatever it is."""
        one, *others = [self._understand([*args, word], self._exchange.database) for word in (b"...", b"* *", b"0")]
        if one.facts.verb is UNKNOWN or one.name in NEVER or one.name in ALONE:
            return None
        facts = replace(one.facts, text="")
        same = all([replace(each.facts, text="") == facts and each.reply == one.reply for each in others])
        return one if same else None

    def _unheld(self, args: list[bytes]) -> Facts:
        understood = self._understand(args or [b""], self._exchange.database)
        words = f"the command is longer than the {self._limit} bytes that are held"
        return Facts(UNKNOWN, understood.facts.command, understood.facts.text, reason=words, flows=None)

    # commands

    def _one(self, args: list[bytes], start: int) -> Request | None:
        raw = self._buffer[start : self._at]
        if args[0].lower() in CREDENTIALS and (shown := _without_credential(args)) is not None:
            args, raw = shown, encoded(shown)
        sent = raw if raw[0] == ARRAY else encoded(args)
        understood = self._understood(args, sent)
        if len(args[0]) <= 7:
            name = args[0].lower()
            if name == b"quit" or (name == b"reset" and len(args) == 1):
                return self._end(name, raw, start)
            if self._queue is not None or name in (b"multi", b"exec", b"discard"):
                return self._transaction(name, args, raw, sent, understood)
        elif self._queue is not None:
            return self._transaction(b"", args, raw, sent, understood)
        return self._command_alone(args, raw, sent, understood)

    def _understood(self, args: list[bytes], sent: bytes) -> Understood:
        if len(sent) > SHOWN:
            return self._understand(args, self._exchange.database)
        key = (self._exchange.database, sent)
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= KEPT:
                self._kept.clear()
            found = self._kept[key] = self._understand(args, self._exchange.database)
        return found

    def _command_alone(self, args: list[bytes], raw: bytes, sent: bytes, understood: Understood) -> Request:
        name = understood.name
        operation = self._operation(understood, sent)
        if name in NEVER or (name in STATE and understood.facts.verb is UNKNOWN):
            self._planned = self._instead(understood.facts.reason, operation)
            return Request(raw, (operation,))
        kind = CONFIRM if name.encode() in CHANNELS else REPLY
        expected = Expected(kind, operation, understood.reply, name)
        planned = self._planned = Planned(sent, [expected])
        if name == "select" and understood.facts.verb is not UNKNOWN:
            planned.barrier, expected.number = True, int(args[1])
        elif name == "hello":
            planned.barrier, expected.number = True, int(args[1]) if len(args) > 1 and args[1] in (b"2", b"3") else -1
        elif kind == CONFIRM and len(args) > 1:
            expected.count = len(args) - 1
        elif name in ("watch", "unwatch"):
            planned.watching = name == "watch"
        return Request(raw, (operation,))

    def _operation(self, understood: Understood, sent: bytes) -> Operation:
        facts = understood.facts
        return Operation(facts, sent if len(sent) > SHOWN else b"", anew=lambda: facts, declared=self._place())

    def _place(self) -> bytes:
        return b"%d" % self._exchange.database

    def _instead(self, words: str, operation: Operation) -> Planned:
        """What is forwarded and answered in place of what no rule allows."""
        said = error_line(Refuse("wire.never", "tidegate", words))
        planned = Planned(PING, [Expected(SWALLOW, operation, name="never", answer=said)])
        planned.never = words
        return planned

    def _own(self, raw: bytes, answer: bytes, data: bytes = b"") -> Request:
        """The gateway's own answer, in its place; with ``data``, which the upstream also gets, and swallowed is its
        answer to that."""
        if not data and not self._exchange.pending:
            self._planned = Planned(b"", [])
            return Request(raw, own=answer)
        self._planned = Planned(data, [Expected(SWALLOW if data else OWN, answer=answer)])
        return Request(raw)

    def _end(self, name: bytes, raw: bytes, start: int) -> Request | None:
        """QUIT, and RESET, with which the agent is nobody again: both end the session when all else is answered."""
        if self._exchange.pending:
            self._at, self._barrier, self.waiting = start, True, True
            return None
        if name == b"reset":
            return Request(b"", farewell=True)
        self.over = True
        return Request(raw, own=OK)

    # transactions

    def _transaction(self, name: bytes, args: list[bytes], raw: bytes, sent: bytes, understood: Understood) -> Request:
        if name == b"multi" and len(args) == 1:
            if self._queue is not None:
                return self._own(raw, b"-ERR MULTI calls can not be nested\r\n")
            self._queue, self._queued, self._aborted = [], 0, False
            return self._own(raw, OK)
        if name in (b"exec", b"discard") and len(args) == 1:
            return self._close(name, raw, understood)
        if self._queue is None:
            return self._command_alone(args, raw, sent, understood)
        objection = self._misfit(args) or self._unfit(understood, len(sent))
        if objection:
            self._aborted = True
            self._queue.clear()
            return self._own(raw, b"-" + objection.encode("utf-8", "replace") + CRLF)
        self._queued += len(sent)
        if not self._aborted:
            self._queue.append(Queued(sent, understood))
        return self._own(raw, IN_LINE)

    def _unfit(self, understood: Understood, size: int) -> str:
        name = understood.name
        if name in ("multi", "exec", "discard", "watch", "quit", "reset"):
            return f"ERR {name.upper()} inside MULTI is not allowed"
        if name in ALONE or name in NEVER:
            return f"ERR {name} is not accepted in a transaction by the gateway"
        assert self._queue is not None
        if self._queued + size > self._limit or len(self._queue) >= QUEUED:
            return f"ERR {OVER_LIMIT}: the transaction is longer than the gateway holds"
        return ""

    def _close(self, name: bytes, raw: bytes, understood: Understood) -> Request:
        queue, self._queue = self._queue, None
        if queue is None:
            return self._own(raw, b"-ERR %b without MULTI\r\n" % name.upper())
        if name == b"exec" and not self._aborted:
            return self._executed(raw, queue, understood)
        # The upstream has seen nothing of it, but it still watches what it was told to.
        unwatch, self._watching = UNWATCH if self._watching else b"", False
        return self._own(raw, OK if name == b"discard" else ABORTED, unwatch)

    def _executed(self, raw: bytes, queue: list[Queued], understood: Understood) -> Request:
        inner = []
        for place, each in enumerate(queue, 1):
            operation, said = self._operation(each.understood, each.raw), each.understood
            inner.append(Expected(REPLY, operation, said.reply, said.name, ends=place == len(queue)))
        operations = tuple(each.operation for each in inner if each.operation is not None)
        operations = operations or (self._operation(understood, b""),)
        last = Expected(EXEC, None if inner else operations[0], name="exec")
        last.inner = inner
        hidden = [Expected(SWALLOW, ends=False) for _ in range(len(queue) + 1)]
        planned = Planned(b"".join((MULTI, *(each.raw for each in queue), EXECUTE)), [*hidden, last])
        planned.abandons, planned.watching, planned.word = True, False, b"EXECABORT"
        self._planned = planned
        return Request(raw, operations)


def _without_credential(args: list[bytes]) -> list[bytes] | None:
    """AUTH, or HELLO with AUTH, without what follows that word; None when there is no credential in it."""
    if args[0].lower() == b"auth":
        return [args[0], *[b"***"] * (len(args) - 1)]
    at = next((at for at, word in enumerate(args) if at and word.upper() == b"AUTH"), 0)
    return [*args[: at + 1], *[b"***"] * (len(args) - at - 1)] if at else None


def error_line(refusal: Refuse, word: bytes = b"NOPERM") -> bytes:
    """A refusal as an error of the protocol, on one line that a program can read."""
    told = [refusal.hint, f"code {refusal.code}", f"request {refusal.request}" if refusal.request else ""]
    text = f'refused by rule "{refusal.rule}": {refusal.reason} ({"; ".join(part for part in told if part)})'
    return b"-" + word + b" " + " ".join(text.split()).encode("utf-8", "backslashreplace") + CRLF
