"""Redis's wire, RESP2 and RESP3: both directions of one session, sans-I/O (DESIGN.md section 3, ``Wire``).

This file joins the two directions and says the gateway's own words. A refusal is an error in the command's place; a
refused EXEC has sent nothing upstream, which then is told to forget the keys that it watched for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tidegate.errors import AgentError
from tidegate.model.operation import Operation, Reply, Request, Results
from tidegate.model.verdict import Refuse

from .redis_exchange import Exchange, Understand
from .redis_requests import OVER_LIMIT, UNWATCH, Misfit, Requests, error_line
from .redis_responses import Responses

SHORTER = "Send smaller values, or write them in parts (APPEND, SETRANGE)."


class RedisWire:
    """Implements ``Wire``.

    ``limit`` is the most bytes of one command that is held, ``database`` and ``protocol`` (2 or 3) what the connection
    is in, ``masks`` whether the resource has tags or detectors, ``detect`` whether it has the latter.
    """

    settled = True
    open = False
    inside = False
    skipping = False

    def __init__(
        self,
        understand: Understand,
        misfit: Misfit,
        limit: int,
        *,
        database: int = 0,
        protocol: int = 2,
        masks: bool = True,
        detect: bool = False,
    ) -> None:
        self._exchange = Exchange(database, protocol)
        self._requests = Requests(self._exchange, understand, misfit, limit)
        self._responses = Responses(self._exchange, understand, limit, masks=masks, detect=detect)
        self.pending = 0
        self.buffered = 0

    @property
    def waiting(self) -> bool:
        """See ``Wire``: behind SELECT, HELLO, QUIT and RESET."""
        return self._requests.waiting

    @property
    def partial(self) -> bool:
        """See ``Wire``."""
        return self._responses.partial

    @property
    def over(self) -> bool:
        """See ``Wire``: the agent has said QUIT and was answered."""
        return self._requests.over

    @property
    def rest(self) -> bytes:
        """See ``Wire``."""
        return self._requests.rest

    def feed(self, data: bytes) -> None:
        """See ``Wire``."""
        self._requests.feed(data)
        self.buffered = self._requests.buffered

    def request(self) -> Request | None:
        """See ``Wire``. Raises AgentError."""
        request = self._requests.next()
        self.buffered = self._requests.buffered
        return request

    def cut(self, _request: Request, _before: Operation) -> None:
        """See ``Wire``: no request is divisible."""
        raise AgentError("a command cannot be cut")

    def forward(self, request: Request) -> bytes:
        """See ``Wire``."""
        written = self._requests.forward(request)
        self.pending = self._exchange.pending
        return written

    def responses(self, data: bytes, results: Results) -> bytes:
        """See ``Wire``. Raises ResourceError."""
        shown = self._responses.take(data, results)
        self.pending = self._exchange.pending
        return shown

    def left(self, _results: Results) -> bytes:
        """See ``Wire``: nothing ends with the connection."""
        return b""

    def refuse(self, _request: Request, refusal: Refuse) -> Reply:
        """See ``Wire``."""
        planned = self._requests.refused()
        self.pending = self._exchange.pending
        if planned.swallows and planned.never:
            refusal = replace(refusal, code=OVER_LIMIT, reason=planned.never, hint=SHORTER)
        return Reply(error_line(refusal, planned.word), UNWATCH if planned.abandons else b"")

    def ask(self, _questions: Sequence[str]) -> bytes:
        """See ``Wire``: names mean the same in every session."""
        return b""

    def notice(self, _text: str) -> bytes:
        """See ``Wire``: there is no message that a client would not take for a reply."""
        return b""

    def goodbye(self, refusal: Refuse) -> bytes:
        """See ``Wire``: an error, or nothing while a reply is half delivered."""
        return b"" if self.partial else error_line(refusal, b"ERR")
