"""PostgreSQL's wire: both directions of one session, sans-I/O (DESIGN.md section 3, ``Wire``).

This file joins the two directions and gives the gateway's own answers. How a refusal keeps the stream in step:

- Nothing of the batch was forwarded and no transaction is open: the error is answered here, with a ReadyForQuery if the
  request was a Query or ended with Sync.
- Otherwise the transaction must fail upstream too (rule 4): a Parse that always fails is sent, with a Sync or Flush as
  the request had; the upstream's error is replaced by the refusal and its ReadyForQuery passes.
- A request without Sync: the agent's further messages up to Sync are dropped, as the upstream itself would.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

from tidegate.model.operation import Reply, Request, Results
from tidegate.model.verdict import Refuse

from . import postgres_messages as pg
from .postgres_batch import Classify
from .postgres_exchange import Exchange, Expected, Kind
from .postgres_masks import FindColumn
from .postgres_names import Names
from .postgres_requests import OVER_LIMIT, SHORTER, Requests
from .postgres_responses import Responses

CODES = {
    "agent.malformed": "08P01",
    "agent.desync": "08P01",
    "approval.expired": "57014",
    "approval.withdrawn": "57014",
    "audit.unavailable": "58030",
    "resource.failed": "08006",
    "resource.lost": "08006",
    "resource.desync": "08006",
}


class PostgresWire:
    """Implements ``Wire``. ``limit`` is the most bytes of one message that is held; ``column`` finds a base field.

    ``waiting``: a prepared statement's fate is not known yet; ask for requests again after the next responses.
    """

    def __init__(self, classify: Classify, column: FindColumn, limit: int) -> None:
        self._exchange = Exchange()
        names = Names()
        self._requests = Requests(self._exchange, names, classify, limit)
        self._responses = Responses(self._exchange, names, column)
        self.pending = 0
        self.buffered = 0
        self.settled = True

    @property
    def transaction_status(self) -> str:
        """The upstream's own: ``I`` idle, ``T`` in a transaction, ``E`` in a failed one."""
        return self._exchange.status

    @property
    def waiting(self) -> bool:
        """Whether requests are kept back until the upstream has answered earlier ones."""
        return self._requests.waiting

    def requests(self, data: bytes) -> Iterator[Request]:
        """See ``Wire``. Raises AgentError."""
        found = self._requests.take(data)
        self.buffered = len(self._requests.buffer)
        return self._counted(found)

    def _counted(self, found: Iterator[Request]) -> Iterator[Request]:
        for request in found:
            self.buffered = len(self._requests.buffer)
            yield request

    def forward(self, request: Request) -> bytes:
        """See ``Wire``."""
        written = self._requests.forward(request)
        self._count()
        return written

    def responses(self, data: bytes, results: Results) -> bytes:
        """See ``Wire``. Raises ResourceError."""
        shown = self._responses.take(data, results)
        self._count()
        return shown

    def refuse(self, request: Request, refusal: Refuse) -> Reply:
        """See ``Wire``; the mechanism is described above."""
        exchange = self._exchange
        plan = self._requests.refused(request)
        ended = bool(plan.ends)
        if plan.oversized:
            refusal = replace(refusal, code=OVER_LIMIT, reason=request.operations[0].facts.reason, hint=SHORTER)
        error = _refusal(refusal)
        clean = exchange.status == "I" and not exchange.open
        exchange.discarding = not ended
        if clean:
            return Reply(error + pg.ready("I") if ended else error)
        expected = [Expected(Kind.FAIL, 0, answer=error)]
        if ended:
            expected.append(Expected(Kind.SYNC, 0))
            exchange.open = False
        exchange.expect(expected)
        self._count()
        return Reply(b"", pg.FAILING + (pg.SYNC_MESSAGE if ended else pg.FLUSH_MESSAGE))

    def notice(self, text: str) -> bytes:
        """See ``Wire``: a NoticeResponse, or nothing while a row is half delivered."""
        return b"" if self._responses.partial else pg.report(b"N", "NOTICE", "00000", text)

    def goodbye(self, refusal: Refuse) -> bytes:
        """See ``Wire``: a FATAL ErrorResponse, or nothing while a row is half delivered."""
        if self._responses.partial:
            return b""
        return pg.report(b"E", "FATAL", sqlstate(refusal.code, "57P01"), refusal.reason, hint=refusal.hint)

    def _count(self) -> None:
        self.pending = self._exchange.pending
        self.settled = self._exchange.status == "I" and not self._exchange.open


def sqlstate(code: str, otherwise: str) -> str:
    """The SQLSTATE for one of the gateway's own codes."""
    return "54000" if code.startswith("limit.") else CODES.get(code, otherwise)


def _refusal(refusal: Refuse) -> bytes:
    named = {"code": refusal.code, "rule": refusal.rule, "request": refusal.request}
    text = f'refused by rule "{refusal.rule}": {refusal.reason}'
    code = sqlstate(refusal.code, "42501")
    return pg.report(b"E", "ERROR", code, text, detail=json.dumps(named), hint=refusal.hint)
