"""The line between a worker and its supervisor: questions, answers and notices, in order.

Each holds one end of a socket pair that the supervisor made and handed down: it has no address, so nobody else can
connect. A frame is four bytes of length and a JSON object. Invariants: frames are handled in the order they were sent;
a handler that is no coroutine has run before the next frame is read; every question has a deadline; a line that says
something else, or lets too much pile up, is cut, and both sides then act as if the other had died.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias, cast

import orjson

from tidegate.errors import (
    AgentError,
    ConfigError,
    IntegrityError,
    LogFailure,
    Refused,
    ResourceError,
    TidegateError,
)
from tidegate.journal import surprise

LARGEST = 16 * 1024 * 1024
"""Bytes of a frame at most: a held request is shown whole."""

UNSENT = 64 * 1024 * 1024
"""Bytes that may wait for the other side before the line is cut."""

OPEN = 10_000
"""Questions that may wait for an answer at a time."""

Words: TypeAlias = Mapping[str, Any]
Handler = Callable[[Words], object | Awaitable[object]]

_ERRORS: dict[str, type[TidegateError]] = {
    kind.__name__: kind for kind in (AgentError, Refused, ResourceError, ConfigError, IntegrityError, LogFailure)
}


class Line(asyncio.Protocol):
    """One end. ``handlers`` answer by what is asked; ``lost`` is called once when the other side is gone."""

    def __init__(self, handlers: Mapping[str, Handler], lost: Callable[[], None]) -> None:
        self._handlers = handlers
        self._lost = lost
        self._buffer = bytearray()
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._transport: asyncio.Transport | None = None

    # what this side says

    def request(self, what: str, **words: object) -> asyncio.Future[Any]:
        """Ask; the question is on its way when this returns. The future gives the answer, the other side's error, or
        ConnectionError; whoever awaits it sets the deadline."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._transport is None or len(self._asked) >= OPEN:
            future.set_exception(ConnectionError("the other side is gone"))
            return future
        number = next(self._numbers)
        self._asked[number] = future
        future.add_done_callback(lambda _: self._asked.pop(number, None))
        self._send({"n": number, "do": what, "of": words})
        return future

    async def ask(self, what: str, patience: float, **words: object) -> Any:
        """The answer within ``patience`` seconds. Raises TimeoutError, ConnectionError, and what the other side did."""
        async with asyncio.timeout(patience):
            return await self.request(what, **words)

    def tell(self, what: str, **words: object) -> None:
        """Say something that needs no answer."""
        self._send({"do": what, "of": words})

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def _send(self, frame: Mapping[str, object]) -> None:
        if self._transport is None:
            return
        data = orjson.dumps(frame, default=_plain)
        if len(data) > LARGEST and "re" in frame:
            self._answer(int(str(frame["re"])), ResourceError("the answer is too large", code="worker.large"))
        elif len(data) > LARGEST or self._transport.get_write_buffer_size() > UNSENT:
            self._transport.abort()
        else:
            self._transport.write(len(data).to_bytes(4, "big") + data)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._transport = None
        for future in list(self._asked.values()):
            if not future.done():
                future.set_exception(ConnectionError("the other side is gone"))
        self._lost()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 4 and self._transport is not None:
            end = 4 + int.from_bytes(self._buffer[:4], "big")
            if end > LARGEST + 4:
                self._transport.abort()
                return
            if len(self._buffer) < end:
                return
            frame = bytes(self._buffer[4:end])
            del self._buffer[:end]
            self._take(frame)

    def _take(self, data: bytes) -> None:
        try:
            frame = orjson.loads(data)
            if "re" in frame:
                self._answered(self._asked.get(int(frame["re"])), frame)
            else:
                self._asked_of_us(str(frame["do"]), dict(frame["of"]), frame.get("n"))
        except (ValueError, KeyError, TypeError) as error:
            surprise("line.garbled", error)
            if self._transport is not None:
                self._transport.abort()

    @staticmethod
    def _answered(future: asyncio.Future[Any] | None, frame: Words) -> None:
        if future is None or future.done():
            return
        if "error" in frame:
            future.set_exception(_error(frame["error"]))
        else:
            future.set_result(frame.get("ok"))

    def _asked_of_us(self, what: str, words: Words, number: int | None) -> None:
        try:
            answer = self._handlers[what](words)
        except TidegateError as error:
            self._answer(number, error)
            return
        if isinstance(answer, Awaitable):
            task = asyncio.ensure_future(self._finish(number, answer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            self._answer(number, answer)

    async def _finish(self, number: int | None, answer: Awaitable[object]) -> None:
        """Nothing else runs between the handler's last step and its answer: notices said then come before it."""
        try:
            self._answer(number, await answer)
        except TidegateError as error:
            self._answer(number, error)
        except Exception as error:
            surprise("line.surprise", error)
            self._answer(number, ResourceError("the other process met a surprise", code="worker.surprise"))

    def _answer(self, number: int | None, answer: object) -> None:
        if number is None:
            return
        if isinstance(answer, TidegateError):
            self._send({"re": number, "error": _words(answer)})
        else:
            self._send({"re": number, "ok": answer})


def _words(error: TidegateError) -> dict[str, str]:
    told = {"message": error.message, "hint": error.hint, "code": error.code}
    return {"kind": type(error).__name__, **told, "rule": error.rule if isinstance(error, Refused) else ""}


def _error(words: Words) -> TidegateError:
    kind = _ERRORS.get(str(words.get("kind")), ResourceError)
    message, hint, code = (str(words.get(name, "")) for name in ("message", "hint", "code"))
    if kind is Refused:
        return Refused(message, rule=str(words.get("rule", "")), hint=hint, code=code)
    return kind(message, hint=hint, code=code)


def _plain(value: object) -> object:
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(type(value).__name__)
