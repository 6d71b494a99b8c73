"""Which build runs, and that a compiled one is compiled throughout."""

from __future__ import annotations

import os
import tomllib
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from tidegate import build

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MODULES: list[str] = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["modules"]


@pytest.mark.parametrize("name", MODULES)
def test_a_build_compiles_every_hot_module_or_none(name: str) -> None:
    """What ``BUILD`` says of one module holds for all of them."""
    origin = str(import_module(name).__file__)
    assert origin.endswith(tuple(EXTENSION_SUFFIXES)) == (build.BUILD == "compiled")


@pytest.mark.parametrize("package", ["wire", "masking"])
def test_whole_packages_are_hot(package: str) -> None:
    """A new module of a package that every byte passes is compiled too."""
    found = {f"tidegate.{package}.{path.stem}" for path in (ROOT / "src" / "tidegate" / package).glob("*.py")}
    assert found - {f"tidegate.{package}.__init__"} <= set(MODULES)


def test_the_expected_build_runs() -> None:
    """`make test` names the build it means to test, so that a plain one cannot pass for a compiled one."""
    assert os.environ.get("TIDEGATE_EXPECTED_BUILD", build.BUILD) == build.BUILD


def test_kinds() -> None:
    """An extension module is compiled; Python source, and what is not there, is not."""
    assert build.kind_of("librt.strings") == "compiled"
    assert build.kind_of("tidegate.build") == build.kind_of("tidegate.nowhere") == "pure"
    assert build.WITNESS in MODULES
