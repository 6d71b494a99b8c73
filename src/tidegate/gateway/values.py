"""What workers tell each other of the credentials in use, so that no worker's session shows what another logs in with.

Values go over the lines between the processes of one gateway and are kept in memory, as long as the worker that uses
them does. Here nothing looks into them.
"""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.enforcement.keyring import Keyring

from .crew import Crew, Worker
from .line import Handler, Line, Words


class FleetValues:
    """The supervisor's side: passes on what a worker says, and says it to those that join later."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._told: dict[tuple[int, str], list[str]] = {}

    def handlers(self, worker: Worker) -> Mapping[str, Handler]:
        """By what ``worker`` says."""
        return {"known": lambda words: self._known(worker, words["resource"], words["values"])}

    def join(self, worker: Worker) -> None:
        """A worker joins: it hears what all others use."""
        for (number, resource), values in self._told.items():
            worker.line.tell("known", worker=number, resource=resource, values=values)

    def left(self, worker: Worker) -> None:
        """A worker is gone: it uses nothing any more."""
        for resource in [name for number, name in self._told if number == worker.number]:
            self._known(worker, resource, [])

    def _known(self, worker: Worker, resource: str, values: list[str]) -> None:
        self._told[worker.number, resource] = values
        if not values:
            del self._told[worker.number, resource]
        self._crew.tell("known", but=worker, worker=worker.number, resource=resource, values=values)


def handlers(line: Line, keyring: Keyring) -> Mapping[str, Handler]:
    """The worker's side: tells what it uses, hears what others use."""

    def tell(resource: str, values: tuple[str, ...]) -> None:
        line.tell("known", resource=resource, values=values)

    def known(words: Words) -> None:
        keyring.elsewhere(words["worker"], words["resource"], tuple(words["values"]))

    keyring.told = tell
    return {"known": known}
