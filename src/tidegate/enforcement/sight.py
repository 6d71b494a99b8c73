"""What names mean in one session: what its resource's names mean, as the session itself sees them.

A session may change its own search path, role and temporary objects, and in an open transaction it alone sees what it
has defined. Nobody can follow that by reading statements, so the upstream is asked in that very session before anything
further is judged. Invariant: what is not known to hold now proves nothing. Between a change and the answer, names are
unresolved; while others redefine objects, no flow of values is proven; the same holds for what this session defined
until it has seen its own definitions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tidegate.errors import ResourceError
from tidegate.masking.tags import Tags
from tidegate.model.operation import Facts, Operation, Rows, Verb
from tidegate.model.resource import Resource

from .judgement import blind, may_move, may_redefine, unresolved
from .names import Names, Schema

Shade = Callable[[Facts], Facts]
"""What becomes of facts under names that are not known for certain."""


class Sight:
    """Names as one session sees them; ``who`` stands for the session among all that redefine names.

    ``moved``: the upstream must be asked. ``touched``: the end of a transaction may move names, too.
    """

    def __init__(self, names: Names[Schema], resource: Resource, who: object) -> None:
        self.names = names
        self._resource = resource
        self._who = who
        self.moved = False
        self.touched = False
        self._defined = False
        self._answer: bytes | None = None
        self._inside: Schema | None = None
        self._inside_tags: Tags | None = None
        self._turn = 0
        self._shade: Shade | None = None
        self.mute = False
        """Whether the upstream answers no questions of the gateway's: then what has moved stays unknown."""

    @property
    def steady(self) -> bool:
        """Whether names mean the same whatever is done."""
        return self.names.current.steady

    @property
    def schema(self) -> Schema:
        """What the names mean."""
        current = self._inside or self.names.current
        return current if self._answer is None else current.within_session(self._answer)

    @property
    def tags(self) -> Tags:
        """The sensitive fields."""
        return self._inside_tags or self.names.tags

    @property
    def version(self) -> int:
        """Another whenever names may mean something else."""
        return self.names.version + (self._turn << 32)

    @property
    def unsettled(self) -> bool:
        """Whether less is proven of a statement than its text says."""
        return self._veil is not None

    @property
    def _veil(self) -> Shade | None:
        if self._shade is not None:
            return self._shade
        hidden = self.names.unsettled if self._inside is None else self.names.unsettled_by_others(self._who)
        return blind if hidden else None

    def classify(self, text: str) -> tuple[Facts, ...]:
        """What the parser says under the names known now."""
        facts = self.schema.classify(text)
        veil = self._veil
        return facts if veil is None else tuple(map(veil, facts))

    # what changes it

    @property
    def lost(self) -> Shade | None:
        """What becomes of all facts now, before the upstream has been asked."""
        return unresolved if self.moved else None

    def behind(self, operation: Operation, shade: Shade | None) -> Shade | None:
        """What becomes of facts behind this operation, before it was answered; ``shade`` as they were before it."""
        if shade is unresolved or self.steady or not may_move(operation, self.touched):
            return shade
        return blind if may_redefine(operation) else unresolved

    def dim(self, shade: Shade | None) -> None:
        """Take less for proven from now on, or no longer."""
        self._shade = shade

    def announce(self, operation: Operation) -> None:
        """The operation is about to run: from now on names may change, here or under every session."""
        if may_move(operation, self.touched) and not self.steady:
            self.moved = self.touched = True
            if may_redefine(operation):
                self._defined, self._inside = True, None
                self.names.redefining(self._who)

    # what the upstream is asked

    def questions(self, operations: Sequence[Operation], *, settled: bool, inside: bool) -> Sequence[str]:
        """What must be asked before these are judged; ``settled``: no transaction is open, ``inside``: one is."""
        if self.mute:
            return ()
        current = self.names.current
        if self._defined and inside and any(map(_looks, operations)):
            return (current.question, *current.look_ups)
        return (current.question,) if self.moved or (self.touched and settled) else ()

    def definitions(self, operations: Sequence[Operation]) -> Sequence[str]:
        """What must be asked to know exactly what these mean, definitions and all, in this session."""
        return () if self.mute else self.schema.definitions([operation.facts for operation in operations])

    def found(self, answers: Sequence[Rows]) -> None:
        """The upstream's answers. Raises ResourceError."""
        self._answer = answers[0][0][0] if answers and answers[0] else None
        if self._answer is None:
            raise ResourceError("The upstream does not say what names mean in this session.", code="resource.catalog")
        if len(answers) > 1:
            self._see(self.names.current.within_transaction(answers[1:]))
        self.schema.within_session(self._answer)
        self.moved = False
        self._turn += 1

    def _see(self, schema: Schema) -> None:
        """The transaction's own objects, unless a tagged field is not among them: then nothing is proven as before."""
        if all(field.name == "*" or schema.has(field) for field in self._resource.tags):
            self._inside = schema
            self._inside_tags = Tags({**schema.always, **self._resource.tags}, schema.family)
        self._defined = False

    def left(self) -> None:
        """The transaction that defined something is over: what all others see holds again."""
        self._inside = self._inside_tags = None
        self._defined = False
        self._turn += 1


def _looks(operation: Operation) -> bool:
    """Whether what its transaction has defined matters to it; to a definition that knows all its names it does not."""
    return operation.facts.verb is not Verb.DEFINE or "unresolved" in operation.facts.details
