"""Standing access with workers: a worker asks, the supervisor decides, since grants stand in the gateway's own log."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from tidegate.enforcement.admission import Grantor, given, missing
from tidegate.errors import LogFailure
from tidegate.identity.directory import Directory
from tidegate.model.identity import Grant, Identity
from tidegate.model.resource import Resource
from tidegate.store.rows import Store

from .line import Handler, Line, Words

PATIENCE = 10.0
"""Seconds for an answer of the supervisor."""


class DistantGrantor:
    """The supervisor as a worker asks it; implements ``admission.Grantor``."""

    def __init__(self, line: Line, store: Store) -> None:
        self._line = line
        self._store = store

    async def standing(self, identity: Identity, resource: Resource, *, token: str, until: int) -> Grant:
        """The grant that the supervisor gave, read from the signed store. Raises Refused, LogFailure."""
        chain = [(hop.subject, hop.proof) for hop in identity.chain]
        try:
            id = await self._line.ask(
                "standing", PATIENCE, chain=chain, resource=resource.name, token=token, until=until
            )
        except OSError:
            raise LogFailure("this worker has lost its supervisor", hint="Try again.", code="gateway.alone") from None
        row = await asyncio.to_thread(self._store.grant, str(id))
        if row is None or (row.subjects, row.resource) != (tuple(subject for subject, _ in chain), resource.name):
            raise missing()
        return given(row)


def deciding(grantor: Grantor, directory: Directory, resources: Mapping[str, Resource]) -> Handler:
    """The supervisor's side: who asks is read anew from the signed store, and judged anew."""

    async def answer(words: Words) -> str:
        subjects, proofs = zip(*words["chain"], strict=True)
        identity = await asyncio.to_thread(directory.resolve, subjects, proofs)
        resource = resources[words["resource"]]
        grant = await grantor.standing(identity, resource, token=str(words["token"]), until=int(words["until"]))
        return grant.id

    return answer
