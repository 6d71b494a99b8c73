"""Logging in at the organisation's identity provider, whatever it speaks: a way there, and what came back.

``begin`` gives an address to send the browser to and a flow that stays on the server, under its ``state``. The browser
comes back to the callback with an answer, and ``finish`` says who that is, or raises.

Invariants: a flow is finished once, by the browser that began it, within ``FLOW_LIFE`` (whoever keeps it sees to that);
a flow fits only its own provider and its own callback; a fresh login is proven by the provider, not by our asking.
"""

from __future__ import annotations

import hmac
import os
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tidegate.errors import AgentError
from tidegate.model.identity import External

FLOW_LIFE = 600
"""Seconds between the way there and the answer."""


@dataclass(frozen=True, slots=True)
class Flow:
    """What must be remembered until the answer; never leaves the server, but for ``state``, which comes back with it.

    ``began`` in Unix seconds; ``secrets`` are the provider's own (nonce, verifier, id of the request).
    """

    provider: str
    callback: str
    state: str
    fresh: bool
    began: int
    secrets: Mapping[str, str] = field(repr=False)

    def demand(self, provider: str, state: str, now: int) -> None:
        """Raises AgentError ``login.flow`` when the answer is not this flow's, or comes too late."""
        same = hmac.compare_digest(self.state.encode(), state.encode("utf-8", "replace"))
        if not same or self.provider != provider or not self.began <= now < self.began + FLOW_LIFE:
            raise AgentError(
                "this answer belongs to no login that is under way",
                hint="Begin again from the login page.",
                code="login.flow",
            )


@dataclass(frozen=True, slots=True)
class Begun:
    """The address to redirect the browser to (GET), and the flow to keep."""

    url: str
    flow: Flow


class Provider(Protocol):
    """An identity provider. All of it on one event loop."""

    @property
    def name(self) -> str:
        """As in tidegate.yaml."""

    @property
    def kind(self) -> str:
        """``oidc`` (its answer comes by GET to ``callback``) or ``saml`` (by POST to ``acs``)."""

    async def begin(self, callback: str, *, fresh: bool = False) -> Begun:
        """The way there; with ``fresh`` the person must prove anew who they are. Raises ResourceError, ConfigError."""

    async def finish(self, flow: Flow, answer: Mapping[str, str]) -> External:
        """Who came back with ``answer`` (the parameters of the query, or of the form).

        Raises AgentError: ``login.flow``, ``login.denied``, ``login.answer``, ``login.stale``, ``token.*``;
        ResourceError ``provider.*``.
        """

    async def gone(self) -> Sequence[str]:
        """Subjects that the provider, when asked now, does not know any more."""


def random() -> str:
    """256 random bits as text for states, nonces and verifiers."""
    return urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")


def denied() -> AgentError:
    """What is said when the provider sent an error in place of an answer: its text is the peer's and not repeated."""
    return AgentError(
        "the identity provider did not let you in",
        hint="Log in there first, or ask its administrator.",
        code="login.denied",
    )


def unusable(why: str) -> AgentError:
    """What is said of an answer that does not prove who somebody is."""
    return AgentError(
        f"the identity provider's answer cannot be used: {why}",
        hint="Begin again from the login page. If it stays so, ask the operator to compare tidegate.yaml with it.",
        code="login.answer",
    )


def stale() -> AgentError:
    """What is said when a fresh login was demanded and the provider only remembered an earlier one."""
    return AgentError(
        "the identity provider did not ask you again who you are",
        hint="Log out there, then try once more. The provider must honour a demand for a fresh login.",
        code="login.stale",
    )
