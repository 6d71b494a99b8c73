"""The road to the upstream: nothing is sent but what a permit covers, and nothing before it is in the log.

``Upstream`` is the only hand that writes there once a relay runs (tests/contracts guards it).
"""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.audit.log import Log
from tidegate.errors import AgentError
from tidegate.model.operation import Reply, Request, Wire

from .session import Allow, Session
from .stream import Stream


class Upstream:
    """What is handed to it reaches the upstream at the end of the turn, once the log has reached the kernel."""

    def __init__(self, stream: Stream, wire: Wire, session: Session, log: Log) -> None:
        self._stream, self._wire, self._session, self._log = stream, wire, session, log

    def forward(self, request: Request, permit: Allow) -> None:
        """Record and send a request that ``permit`` covers."""
        if permit.request is not request and not request.continues:
            raise AgentError("a permit covers one request only", code="permit.mismatch")
        data = self._wire.forward(request)
        self._session.trail.request(request.raw, data if request.shown is None else request.shown)
        self._log.after_write(self._stream.write, data)

    def ask(self, questions: Sequence[str]) -> bool:
        """Ask what names mean in this session, with an intent of its own (rule 10); False if that is not possible."""
        data = self._wire.ask(questions)
        if data:
            self._session.asks(questions)
            self._session.trail.request(b"", data)
            self._log.after_write(self._stream.write, data)
        return bool(data)

    def keep_in_step(self, request: Request, reply: Reply) -> None:
        """Send what makes the upstream share the gateway's answer; it can only fail a transaction, never do work."""
        self._session.trail.request(request.raw, reply.to_resource)
        self._log.after_write(self._stream.write, reply.to_resource)
