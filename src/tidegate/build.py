"""Which build of Tidegate this is: its hot modules compiled, or plain Python throughout.

Both come from one source and behave alike; only the speed differs, so that an operator wants to be told.
"""

from __future__ import annotations

from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from typing import Final

WITNESS = "tidegate.wire._frames"
"""A module that every compiled build compiles: a build compiles all of its hot modules or none."""


def kind_of(module: str) -> str:
    """``compiled`` or ``pure``, by the file that ``module`` is loaded from."""
    found = find_spec(module)
    origin = found.origin if found is not None else None
    return "compiled" if origin is not None and origin.endswith(tuple(EXTENSION_SUFFIXES)) else "pure"


BUILD: Final = kind_of(WITNESS)
"""The build that is running."""
