"""What is learnt while one statement is walked, and the walk's own state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tidegate.errors import AgentError
from tidegate.model.operation import Verb
from tidegate.model.resource import Field

from .catalog import HOLDS_SECRETS, Catalog, Relation
from .catalog_values import reads_secrets
from .sql_parse import Node
from .sql_scope import Rowset, Scope, Sources

DOUBTS = 100
"""The most sentences that are kept: one is enough to make a statement doubtful."""

COLUMNS = 1664
"""The most columns a result may have (MaxTupleAttributeNumber in htup_details.h)."""


@dataclass(slots=True)
class Findings:
    """Grows during a walk. ``filters`` and ``flows`` turn None once something could not be followed.

    ``doubts`` are sentences saying which code could not be proven harmless, ``effects`` which known effects there are;
    ``unresolved`` names what may read or write objects that are not listed, ``settings`` what set_config sets.
    """

    verbs: set[Verb] = field(default_factory=set)
    commands: dict[str, Verb] = field(default_factory=dict)
    reads: set[str] = field(default_factory=set)
    writes: set[str] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)
    settings: set[str] = field(default_factory=set)
    unresolved: set[str] = field(default_factory=set)
    doubts: list[str] = field(default_factory=list)
    effects: list[str] = field(default_factory=list)
    filters: Sources = frozenset()
    flows: frozenset[tuple[Field, Field]] | None = frozenset()
    unbounded: bool = False
    secrets: bool = False
    reactive: bool = False

    def does(self, verb: Verb, command: str) -> None:
        """The statement, or a part of it, does this."""
        self.verbs.add(verb)
        self.commands.setdefault(command, verb)

    def doubt(self, sentence: str) -> bool:
        """Take note of ``sentence`` unless it is empty; gives whether there was a doubt."""
        if sentence and len(self.doubts) < DOUBTS and sentence not in self.doubts:
            self.doubts.append(sentence)
        return bool(sentence)

    def look(self, sources: Sources) -> None:
        """A predicate, ordering, grouping or join looks at these."""
        self.filters = None if self.filters is None or sources is None else self.filters | sources

    def flow(self, sources: Sources, targets: Sources) -> None:
        """Values of ``sources`` are stored in ``targets``."""
        if self.flows is None or sources is None or (targets is None and sources):
            self.flows = None
        else:
            self.flows |= {(source, target) for source in sources for target in targets or ()}

    def reads_object(self, name: str) -> None:
        """The statement reads this object."""
        self.reads.add(name)
        self.secrets |= name in HOLDS_SECRETS

    def calls(self, name: str) -> None:
        """The statement calls this function."""
        self.functions.add(name)
        self.secrets |= reads_secrets(name.rpartition(".")[2])

    def adopt(self, inner: Findings) -> None:
        """Take over what a view's body does; its filters are not the agent's."""
        self.reads |= inner.reads
        self.functions |= inner.functions
        self.settings |= inner.settings
        self.unresolved |= inner.unresolved
        self.secrets |= inner.secrets
        self.reactive |= inner.reactive
        self.verbs |= inner.verbs
        self.effects += inner.effects
        for sentence in inner.doubts:
            self.doubt(sentence)


@dataclass(slots=True)
class Budget:
    """How much a statement may come to, views and rounds of recursion included: nesting multiplies it.

    ``queries`` and ``steps`` are what is left of each. A step is one expression, or one table that a name is looked up
    in, so that no statement keeps the gateway busy for long.
    """

    queries: int = 5_000
    steps: int = 150_000

    def spend(self) -> None:
        """One query more. Raises AgentError when there were too many."""
        self.queries -= 1
        self.step(1)

    def step(self, count: int) -> None:
        """So many steps more. Raises AgentError when there were too many."""
        self.steps -= count
        if self.queries < 0 or self.steps < 0:
            raise AgentError("the statement is too complex", hint="Split it.")


@dataclass(slots=True)
class Walk:
    """One pass over one statement. ``query`` analyses a nested query; it is bound once, to break the import cycle."""

    catalog: Catalog
    query: Callable[[Walk, str, Node, Scope], Rowset]
    findings: Findings = field(default_factory=Findings)
    opened: tuple[int, ...] = ()
    budget: Budget = field(default_factory=Budget)

    @contextmanager
    def looking(self) -> Iterator[Findings]:
        """Collect the filters found inside apart as well; they are added to the statement's when the block ends."""
        before, self.findings.filters = self.findings.filters, frozenset()
        try:
            inner = Findings()
            yield inner
        finally:
            inner.filters = self.findings.filters
            self.findings.filters = before
            self.findings.look(inner.filters)

    def inside(self, relation: Relation) -> Walk:
        """A walk of a view's body, with findings of its own."""
        return Walk(self.catalog, self.query, Findings(), (*self.opened, relation.oid), self.budget)
