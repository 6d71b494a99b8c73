"""PostgreSQL's wire: both directions of one session, sans-I/O (DESIGN.md section 3, ``Wire``).

This file joins the two directions and gives the gateway's own answers. How a refusal keeps the stream in step:

- A batch is cut before the first operation that is not allowed: what precedes it runs, so that the error comes where
  the server's own would. A Query of several statements is not cut: it is refused before any of it runs.
- Nothing of the batch was forwarded and no transaction is open: the error is answered here, with a ReadyForQuery if the
  request was a Query or ended with Sync.
- Otherwise the transaction must fail upstream too (rule 4): a Parse that always fails is sent, with a Sync or Flush as
  the request had; the upstream's error is replaced by the refusal and its ReadyForQuery passes.
- A request without Sync: the agent's further messages up to Sync are dropped, as the upstream itself would.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from tidegate.errors import ResourceError
from tidegate.model.operation import Operation, Reply, Request, Results
from tidegate.model.verdict import Refuse

from . import postgres_messages as pg
from .postgres_exchange import Exchange, Expected, Kind
from .postgres_masks import FindCatalog
from .postgres_named import Classify
from .postgres_names import Names
from .postgres_requests import OVER_LIMIT, SHORTER, Requests
from .postgres_responses import Responses

CODES = {
    "agent.malformed": "08P01",
    "agent.desync": "08P01",
    "approval.expired": "57014",
    "approval.withdrawn": "57014",
    "audit.unavailable": "58030",
    "log.failed": "58030",
    "resource.failed": "08006",
    "resource.lost": "08006",
    "resource.desync": "08006",
}


class PostgresWire:
    """Implements ``Wire``. ``limit`` is the most bytes of one message that is held; ``catalog`` finds base fields.

    ``waiting``: a prepared statement's fate is not known yet; ask for requests again after the next responses.
    """

    def __init__(self, classify: Classify, catalog: FindCatalog, limit: int) -> None:
        self._exchange = Exchange()
        names = Names(classify)
        self._requests = Requests(self._exchange, names, limit)
        self._responses = Responses(self._exchange, names, catalog)
        self.pending = 0
        self.buffered = 0
        self.settled = True
        self.open = False
        self.inside = False

    @property
    def transaction_status(self) -> str:
        """The upstream's own: ``I`` idle, ``T`` in a transaction, ``E`` in a failed one."""
        return self._exchange.status

    @property
    def waiting(self) -> bool:
        """Whether requests are kept back until the upstream has answered earlier ones."""
        return self._requests.waiting

    @property
    def skipping(self) -> bool:
        """See ``Wire``."""
        return self._exchange.skipping

    @property
    def partial(self) -> bool:
        """See ``Wire``."""
        return self._responses.partial

    @property
    def over(self) -> bool:
        """See ``Wire``: the upstream closes after a fatal error, and that ends it."""
        return False

    @property
    def rest(self) -> bytes:
        """See ``Wire``: a connection is one session's."""
        return b""

    def feed(self, data: bytes) -> None:
        """See ``Wire``."""
        self._requests.feed(data)
        self.buffered = self._requests.buffered

    def request(self) -> Request | None:
        """See ``Wire``. Raises AgentError."""
        request = self._requests.next()
        self.buffered = self._requests.buffered
        return request

    def forward(self, request: Request) -> bytes:
        """See ``Wire``."""
        written = self._requests.forward(request)
        self._count()
        return written

    def cut(self, request: Request, before: Operation) -> None:
        """See ``Wire``."""
        self._requests.cut(request, before)
        self.buffered = self._requests.buffered

    def responses(self, data: bytes, results: Results) -> bytes:
        """See ``Wire``. Raises ResourceError."""
        shown = self._responses.take(data, results)
        if self._exchange.copy_open and self._requests.undecided:
            raise ResourceError(
                "Messages follow a COPY FROM STDIN before its data.",
                hint="Wait for the reply to COPY before sending further statements.",
            )
        self._count()
        return shown

    def left(self, _results: Results) -> bytes:
        """See ``Wire``: nothing ends with the connection."""
        return b""

    def refuse(self, request: Request, refusal: Refuse) -> Reply:
        """See ``Wire``; the mechanism is described above."""
        exchange = self._exchange
        plan = self._requests.refused(request)
        ended = bool(plan.ends)
        if exchange.skipping and not (ended and request.divisible):
            return Reply(b"")  # an error before it came first, and the upstream ignores all but a Sync
        if plan.oversized:
            refusal = replace(refusal, code=OVER_LIMIT, reason=request.operations[0].facts.reason, hint=SHORTER)
        error = _refusal(refusal)
        clean = exchange.status == "I" and not exchange.open
        exchange.discarding = not ended
        if clean:
            return Reply(error + pg.ready("I") if ended else error)
        failing = Expected(Kind.FAIL, 0)
        failing.answer = error
        expected = [failing]
        if ended:
            expected.append(Expected(Kind.SYNC, 0))
            exchange.open = False
        exchange.expect(expected)
        self._count()
        return Reply(b"", pg.FAILING + (pg.SYNC_MESSAGE if ended else pg.FLUSH_MESSAGE))

    def ask(self, questions: Sequence[str]) -> bytes:
        """See ``Wire``."""
        exchange = self._exchange
        if exchange.due or exchange.dropping or exchange.copy_open or exchange.status == "E":
            return b""
        exchange.due.append(Expected(Kind.ASK, 0))
        exchange.asking = pg.FREED * len(questions) + (not exchange.open)
        self._count()
        return b"".join(map(pg.question, questions)) + (pg.FLUSH_MESSAGE if exchange.open else pg.SYNC_MESSAGE)

    def notice(self, text: str) -> bytes:
        """See ``Wire``: a NoticeResponse, or nothing while a row is half delivered."""
        return b"" if self.partial else pg.report(b"N", "NOTICE", "00000", text)

    def goodbye(self, refusal: Refuse) -> bytes:
        """See ``Wire``: a FATAL ErrorResponse, or nothing while a row is half delivered."""
        if self.partial:
            return b""
        return pg.report(b"E", "FATAL", sqlstate(refusal.code, "57P01"), refusal.reason, hint=refusal.hint)

    def _count(self) -> None:
        exchange = self._exchange
        self.pending = exchange.pending
        self.open = exchange.open
        self.settled = not exchange.open and exchange.status == "I"
        self.inside = not exchange.open and exchange.status == "T"


def sqlstate(code: str, otherwise: str) -> str:
    """The SQLSTATE for one of the gateway's own codes."""
    return "54000" if code.startswith("limit.") else CODES.get(code, otherwise)


def _refusal(refusal: Refuse) -> bytes:
    named = {"code": refusal.code, "rule": refusal.rule, "request": refusal.request}
    text = f'refused by rule "{refusal.rule}": {refusal.reason}'
    code = sqlstate(refusal.code, "42501")
    return pg.report(b"E", "ERROR", code, text, detail=json.dumps(named), hint=refusal.hint)
