"""What the two directions of a session know of each other: the replies that are due, and the state of the stream.

Why: the upstream answers strictly in order, so one queue says to which operation a message belongs. After an error in
the extended protocol the upstream ignores everything up to the next Sync; ``fail`` mirrors that, and when the Sync has
not come yet, the agent's side drops what precedes it. A refusal uses the same mechanism.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from tidegate.errors import ResourceError
from tidegate.model.operation import Facts, Operation, Outcome, Results, Transform

from .postgres_named import UNKNOWN
from .postgres_names import Change, Portal, Statement


class Kind:
    """Which message a reply is due for. FAIL is the gateway's own failing Parse, ASK its own question.

    Numbers, not an enumeration: compiled code compares them without a look-up.
    """

    QUERY: Final = 1
    CALL: Final = 2
    PARSE: Final = 3
    BIND: Final = 4
    CLOSE: Final = 5
    DESCRIBE: Final = 6
    EXECUTE: Final = 7
    SYNC: Final = 8
    FAIL: Final = 9
    ASK: Final = 10


class Expected:
    """One reply that is due, and how far it has come.

    ``hidden`` replies are to messages the gateway put in. ``answer`` is what the agent sees in place of a FAIL's error.
    ``mixed``: an earlier operation of the same query is done. ``changes`` go with the operations of a query.
    ``width`` is the number of columns of the result under way.
    """

    __slots__ = (
        "answer",
        "asked",
        "batch",
        "change",
        "changes",
        "hidden",
        "kind",
        "masks",
        "mixed",
        "operations",
        "outcome",
        "portal",
        "serial",
        "width",
    )

    def __init__(self, kind: int, batch: int, portal: Portal | None = None, change: Change | None = None) -> None:
        self.kind: Final = kind
        self.batch: Final = batch
        self.portal: Final = portal
        self.change = change
        self.changes: list[Change | None] | None = None
        self.operations: list[Operation] = []
        self.hidden = False
        self.answer = b""
        self.serial = 0
        self.asked = False
        self.masks: Sequence[Transform | None] | None = None
        self.width = 0
        self.outcome: Outcome | None = None
        self.mixed = False

    @property
    def operation(self) -> Operation | None:
        """The operation the next result belongs to."""
        return self.operations[0] if self.operations else None

    @property
    def facts(self) -> Facts | None:
        """What an error or notice that comes now is about."""
        if self.operations:
            return self.operations[0].facts
        if self.portal is not None:
            return self.portal.statement.facts
        made = self.change.new if self.change is not None else None
        return made.facts if isinstance(made, Statement) else None

    def owned(self) -> list[Operation]:
        """The operations whose end this reply reports; a streamed Bind's until an Execute takes it over."""
        if self.kind == Kind.BIND and self.portal is not None and self.portal.judged is not None:
            judged, self.portal.judged = self.portal.judged, None
            return [judged]
        return self.operations

    def fail(self, results: Results, code: str) -> None:
        """A simple query or call failed: the current operation with an error, the rest was not run."""
        failed, self.operations = self.operations, []
        undo([self])
        for operation in failed:
            results.done(operation, Outcome("error", code) if operation is failed[0] else Outcome("skipped"))


class Exchange:
    """State that both directions share.

    ``status`` is the upstream's transaction status. ``open``: a part of the current batch was forwarded without its
    Sync. ``skipping``: the upstream ignores everything up to Sync; ``discarding``: the agent was told an error, so that
    the gateway does. ``copying``: the agent may send COPY data; ``copy_open``: the upstream waits for it. ``lost``
    counts Syncs that a COPY may have swallowed. ``skipped`` are operations the upstream ignored, not yet reported.
    ``asking``: only the reply to the gateway's own question is due, and so many messages end it.
    ``passed`` are operations done in the current transaction, one for each facts; ``spoiled``: something in it failed
    or was rolled back.
    """

    def __init__(self) -> None:
        self.due: deque[Expected] = deque()
        self.passed: list[Operation] = []
        self.spoiled = False
        self.asking = 0
        self.status = "I"
        self.open = False
        self.skipping = False
        self.discarding = False
        self.copying = False
        self.copy_open = False
        self.lost = 0
        self.skipped: list[Operation] = []
        self._ends: deque[int] = deque()
        self._serial = 0

    @property
    def pending(self) -> int:
        """Forwarded requests whose replies are not complete."""
        return self.due[-1].serial - self.due[0].serial + 1 if self.due else 0

    @property
    def synced(self) -> bool:
        """Whether the reply to a Sync is due."""
        return any([reply.kind == Kind.SYNC for reply in self.due])

    @property
    def dropping(self) -> bool:
        """Whether the agent's messages up to the next Sync are dropped."""
        return self.skipping or self.discarding

    def expect(self, replies: list[Expected]) -> None:
        """A request was forwarded: these replies are due, in this order."""
        if self.skipping:
            replies = self._skip(replies)
        if replies:
            self._serial += 1
        for reply in replies:
            reply.serial = self._serial
            if reply.kind == Kind.SYNC:
                self.skipping = self.discarding = False
            for operation in reply.operations:
                if may_copy(operation):
                    self.copying = True
        self.due.extend(replies)

    def _skip(self, replies: list[Expected]) -> list[Expected]:
        """What is left of ``replies`` when the upstream ignores everything before the Sync in it."""
        sync = next((at for at, reply in enumerate(replies) if reply.kind == Kind.SYNC), len(replies))
        undo(replies[:sync])
        self.skipped += [operation for reply in replies[:sync] for operation in reply.owned()]
        return replies[sync:]

    def front(self, kind: int, other: int = 0, third: int = 0) -> Expected:
        """The reply that is due now. Raises ResourceError if it is of none of these kinds."""
        if self.due:
            first = self.due[0]
            if first.kind == kind or first.kind == other or first.kind == third:
                return first
        raise ResourceError("The upstream sent a reply that nothing asked for.")

    def fail(self, results: Results, code: str) -> None:
        """The reply that is due is an error, and what follows it is skipped up to the next Sync."""
        failed = [self.due.popleft()]
        while self.due and self.due[0].kind != Kind.SYNC:
            failed.append(self.due.popleft())
        self.skipping = not self.due
        self.open = self.open or self.skipping
        undo(failed)
        # The first operation is the one that failed: what precedes its Execute has none of its own.
        operations = [operation for reply in failed for operation in reply.owned()]
        for operation in operations[:1]:
            results.done(operation, Outcome("error", code))
        self.skipped += operations[1:]
        self.report(results)

    def report(self, results: Results) -> None:
        """Report the operations that the upstream ignored."""
        skipped, self.skipped = self.skipped, []
        for operation in skipped:
            results.done(operation, Outcome("skipped"))

    def copy_ended(self) -> None:
        """The agent sent the end of its COPY data, perhaps before the upstream asked for any."""
        self.copying = self.copy_open = False
        self._ends.append(self._serial)

    def copy_in(self) -> None:
        """The upstream reads COPY data now, and swallows the Syncs that reach it before the end of the data."""
        serial = self.due[0].serial
        while self._ends and self._ends[0] < serial:
            self._ends.popleft()
        end = self._ends.popleft() if self._ends else None
        while len(self.due) > 1 and (end is None or self.due[1].serial <= end):
            if self.due[1].kind != Kind.SYNC:
                raise ResourceError(
                    "Messages follow a COPY FROM STDIN before its data.",
                    hint="Wait for the reply to COPY before sending further statements.",
                )
            del self.due[1]
            self.lost += 1
            self.open = True
        if self.synced:
            self.open = False
        if end is None:
            self.copying = self.copy_open = True

    def ready(self, status: str) -> None:
        """A ReadyForQuery that no Sync in the queue explains: a COPY that failed early did not swallow its Sync."""
        if self.due or not self.lost:
            raise ResourceError("The upstream is ready for a query, but nothing asked whether it is.")
        self.lost = 0
        self.settle(status)
        self.skipping = self.discarding = self.open = False

    def settle(self, status: str) -> None:
        """The upstream said its transaction status; without a transaction nothing has passed in it."""
        self.status = status
        if status == "I":
            self.passed.clear()
            self.spoiled = False


def may_copy(operation: Operation) -> bool:
    """Whether its reply may be COPY data."""
    facts = operation.facts
    return facts.verb is UNKNOWN or facts.command.startswith("copy")


def undo(replies: Sequence[Expected]) -> None:
    """Take back what the messages behind ``replies`` changed, last first."""
    for reply in reversed(replies):
        if reply.change is not None:
            reply.change.undo()
        for change in reversed(reply.changes or ()):
            if change is not None:
                change.undo()
