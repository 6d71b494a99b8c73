"""The reference pages say what the code does."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", ["cli", "api"])
def test_page_is_current(name: str) -> None:
    """A reference page is what its tool would write now."""
    spec = importlib.util.spec_from_file_location(f"{name}_reference", ROOT / "tools" / f"{name}_reference.py")
    assert spec and spec.loader
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.PAGE.read_text() == tool.page(), f"run: python tools/{name}_reference.py"
