"""What names mean where they need no catalog: a key, a path or a host says itself what it is, for good.

Nothing is asked of the upstream, nothing redefines a name, and tags are patterns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from tidegate.errors import ResourceError
from tidegate.model.operation import Facts, Rows
from tidegate.model.resource import Field

from .names import Schema

NOTHING: Mapping[Field, str] = MappingProxyType({})


class Fixed:
    """Implements ``Schema``; ``digest`` is another whenever ``classify`` or ``always`` are."""

    steady = True
    patterns = True
    question = ""
    look_ups: Sequence[str] = ()

    def __init__(
        self, digest: bytes, classify: Callable[[str], tuple[Facts, ...]], always: Mapping[Field, str] = NOTHING
    ) -> None:
        self.digest = digest
        self.always = always
        self._classify = classify

    def family(self, _object: str) -> frozenset[str]:
        """See ``Schema``: an object shares nothing with others."""
        return frozenset()

    def reach(self, _object: str) -> frozenset[str]:
        """See ``Schema``."""
        return frozenset()

    def has(self, _field: Field) -> bool:
        """See ``Schema``: any field may come to be."""
        return True

    def classify(self, text: str) -> tuple[Facts, ...]:
        """See ``Schema``."""
        return self._classify(text)

    def definitions(self, _operations: Sequence[Facts]) -> Sequence[str]:
        """See ``Schema``: what is asked says by itself what would run."""
        return ()

    def firm(self, _answers: Sequence[Rows], *, inside: bool) -> bool:  # noqa: ARG002 - the protocol's signature
        """See ``Schema``."""
        return True

    def within_transaction(self, _answers: Sequence[Rows]) -> Schema:
        """See ``Schema``: nobody asks."""
        raise ResourceError("the resource has no catalog", code="resource.catalog")

    def within_session(self, _answer: bytes) -> Schema:
        """See ``Schema``: nobody asks."""
        raise ResourceError("the resource has no catalog", code="resource.catalog")
