"""Tags that name objects and fields by patterns, where an upstream has no catalog of them.

In an object ``*`` is any run of characters, as in ``0/user:*`` or ``GET /users/*``. A field is a name, ``*`` for every
one, or a JSON path: ``$.items[*].email`` is that very leaf and all beneath it, ``$..email`` an ``email`` at any depth.

Invariant: of several patterns that match, the first by spelling counts, so that the answer never depends on order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from tidegate.model.resource import Field

from .tags import EVERY, Tags

KEPT = 4096
"""Answers that are remembered; an agent may ask for any number of objects."""

LONGEST = 2048
"""Characters of a name that are compared; a longer one counts as matched by every pattern."""


class PatternTags(Tags):
    """As ``Tags``; a field need not exist to be tagged, so that none is ever missing."""

    def __init__(self, tags: Mapping[Field, str], family: Callable[[str], frozenset[str]]) -> None:
        super().__init__(tags, family)
        self._patterns = [(_glob(field.object), _name(field.name), tag) for field, tag in sorted(tags.items())]
        self._touched: dict[str, bool] = {}

    def tag(self, field: Field) -> str | None:
        """The tag of a field; ``(object, "*")`` stands for the whole object, in which any tag is one too many."""
        if len(self._found) >= KEPT:
            self._found.clear()
        return super().tag(field)

    def _look_up(self, field: Field) -> str | None:
        for object, name, tag in self._patterns:
            if _matches(object, field.object) and (field.name == EVERY or _matches(name, field.name)):
                return tag
        return None

    def touched(self, objects: Iterable[str]) -> bool:
        """Whether any of these objects has a tagged field."""
        return any(self._touches(name) for name in objects)

    def _touches(self, name: str) -> bool:
        found = self._touched.get(name)
        if found is None:
            if len(self._touched) >= KEPT:
                self._touched.clear()
            found = any(_matches(object, name) for object, _, _ in self._patterns)
            self._touched[name] = found
        return found

    def missing(self, _known: Callable[[Field], bool]) -> tuple[Field, ...]:
        """None: a pattern need match nothing yet."""
        return ()


def _matches(pattern: re.Pattern[str], name: str) -> bool:
    return len(name) > LONGEST or pattern.fullmatch(name) is not None


def _glob(pattern: str) -> re.Pattern[str]:
    # Runs of stars are one star, so that no name takes long to compare.
    return re.compile(".*".join(map(re.escape, re.split(r"\*+", pattern))), re.DOTALL)


def _name(pattern: str) -> re.Pattern[str]:
    if not pattern.startswith("$"):
        return _glob(pattern)
    steps = ["\\$"]
    for step in re.findall(r"\.\.|\[\*\]|[^.\[]+|\.|\[[^]]*\]", pattern[1:]):
        steps.append({"..": r"(?:[.\[].*)?\.", "[*]": r"\[(?:\*|\d+)\]", ".": r"\."}.get(step, _glob(step).pattern))
    return re.compile("".join(steps) + r"(?:[.\[].*)?", re.DOTALL)
