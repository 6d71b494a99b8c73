"""Who asks for access, or waits for an answer: a person with their login, or an agent with its own token.

An agent's token calls nothing else of the API, and asks only for the chain and the resource that it is for.
"""

from __future__ import annotations

from fastapi import Request

from tidegate.errors import AgentError, Refused
from tidegate.model.identity import Identity

from .services import ApiServices, source


async def asker(at: ApiServices, request: Request, resource: str) -> Identity:
    """The caller, by a login token or by an agent's own for ``resource``. Raises AgentError."""
    return await at.access.asker(presented(request), resource, source(request))


def presented(request: Request) -> str:
    """The token that comes with a request; whether it holds is not looked at. Raises AgentError ``auth.missing``."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise AgentError(
            "This needs a login token, or an agent's own.", code="auth.missing", hint="Authorization: Bearer TOKEN"
        )
    return token.strip()


async def chained(at: ApiServices, by: Identity, agent: str) -> Identity:
    """The chain to ask for: the caller's own, or that of an agent of theirs. Raises Refused, AgentError."""
    if not agent:
        return by
    if len(by.chain) != 1:
        if by.actor.name == agent:
            return by
        raise Refused("an agent asks for itself only", hint="Leave `agent` out.", code="request.agent")
    found = await at.access.chain(by.person.name, agent)
    return Identity((by.person, *found.chain[1:]))


def sees(at: ApiServices, by: Identity, subjects: tuple[str, ...]) -> bool:
    """Whether a chain's requests are the caller's business: a person's own, an agent's exactly its own, or all."""
    if len(by.chain) == 1:
        return by.person.subject == subjects[0] or at.may(by, "observe")
    return tuple(hop.subject for hop in by.chain) == subjects
