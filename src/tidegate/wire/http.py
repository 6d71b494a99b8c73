"""The HTTP/1.1 wire: one request at a time on a connection that is kept, each judged and answered in order.

Refusals are answers of the gateway's own; the connection goes on after them unless a body that nobody wants to read is
in the way. What the upstream or the agent left unfinished is never made to look complete.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tidegate.model.operation import Operation, Reply, Request, Results
from tidegate.model.verdict import Refuse

from .http_forward import Sender
from .http_head import Head
from .http_places import Origin
from .http_problem import PENDING, accepted, problem
from .http_requests import Requests, Site
from .http_responses import Open, Responses, Search
from .http_talk import Talk
from .websocket import close

GOING = 1008
"""Why the gateway closes a WebSocket: by a rule of its own (RFC 6455 section 7.4.1)."""


class HttpWire:
    """Implements ``Wire``. ``mine`` gives the target of a head that is for this session, ``approval`` the address of an
    approval by its id.
    """

    def __init__(
        self,
        site: Site,
        sender: Sender,
        origin: Origin,
        mine: Callable[[Head], bytes | None],
        body: Open,
        search: Search,
        *,
        limit: int,
        token: str = "",
        websocket: bool = False,
        approval: Callable[[str], str] = lambda _: "",
    ) -> None:
        self._talk = Talk()
        self._requests = Requests(self._talk, site, sender, mine, limit, token=token, websocket=websocket)
        self._responses = Responses(self._talk, origin, body, search, masked=sender.whole)
        self._approval = approval
        self.pending = self.buffered = 0
        self.settled = True
        self.open = self.inside = False

    @property
    def waiting(self) -> bool:
        """See ``Wire``: the next request is looked at when the last is answered."""
        return self._requests.waiting

    @property
    def skipping(self) -> bool:
        """See ``Wire``."""
        return False

    @property
    def partial(self) -> bool:
        """See ``Wire``: bodies are searched before they are framed, heads pass whole."""
        return False

    @property
    def over(self) -> bool:
        """See ``Wire``."""
        return self._talk.over

    @property
    def rest(self) -> bytes:
        """See ``Wire``."""
        return self._requests.rest

    @property
    def idle(self) -> bool:
        """Whether another session may go on with the agent's connection: no request is under way."""
        return self._talk.exchange is None and not self._talk.over and self._requests.idle

    @property
    def between(self) -> bool:
        """Whether nothing is expected of the upstream."""
        return self._talk.exchange is None

    @property
    def spent(self) -> bool:
        """Whether the upstream's connection takes no further request."""
        return self._talk.spent

    def renewed(self) -> None:
        """The next request goes over another connection."""
        self._talk.spent = False

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
        """See ``Wire``: a request is one operation."""
        raise AssertionError("a request of one operation is not divisible")

    def forward(self, request: Request) -> bytes:
        """See ``Wire``."""
        data = self._requests.forward(request)
        self._count()
        return data

    def responses(self, data: bytes, results: Results) -> bytes:
        """See ``Wire``. Raises ResourceError."""
        shown = self._responses.take(data, results)
        self._count()
        return shown

    def left(self, results: Results) -> bytes:
        """See ``Wire``. Raises ResourceError."""
        shown = self._responses.left(results)
        self._count()
        return shown

    def refuse(self, _request: Request, refusal: Refuse) -> Reply:
        """See ``Wire``: a problem, or 202 for an agent that would rather come again than wait for people."""
        exchange = self._requests.refused()
        pending = refusal.code == PENDING
        answer = accepted if pending and exchange.asynchronous else problem
        href = self._approval(refusal.request) if pending else ""
        return Reply(answer(refusal, close=exchange.close, body=exchange.method != b"HEAD", href=href))

    def ask(self, _questions: Sequence[str]) -> bytes:
        """See ``Wire``: there is nothing to ask."""
        return b""

    def notice(self, _text: str) -> bytes:
        """See ``Wire``: an interim answer would be read by nobody, and break some clients."""
        return b""

    def goodbye(self, refusal: Refuse) -> bytes:
        """See ``Wire``: an answer for a request that has none; an answer that has begun stays visibly unfinished."""
        exchange = self._talk.exchange
        if self.idle and not self.buffered:
            return b""
        if self._talk.tunnel and not self._talk.over:
            self._talk.over = True
            return close(GOING, f"{refusal.reason} ({refusal.code})")
        if self._talk.over or (exchange is not None and exchange.begun):
            return b""
        self._talk.over = True
        return problem(refusal, close=True, body=exchange is None or exchange.method != b"HEAD")

    def _count(self) -> None:
        """An answer without an end is not pending."""
        exchange = self._talk.exchange
        self.pending = int(exchange is not None and not exchange.stream)
