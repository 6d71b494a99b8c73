"""Compiles the hot modules of a wheel with mypyc where a compiler is at hand; without one the wheel is plain Python.

One source, two builds: the modules named in pyproject.toml are shipped as they are and, when compiling succeeds, as
extension modules beside them, which Python prefers. ``TIDEGATE_PURE=1`` asks for plain Python; an editable install is
always plain. ``tidegate doctor`` says which build is installed.
"""

from __future__ import annotations

import os
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PURE = os.environ.get("TIDEGATE_PURE", "0") != "0"
SOURCE = "src"
GROUP = "tidegate"
COMPILER = ["mypy[mypyc]>=2.4,<3", "setuptools>=77"]

LENIENT = ["--config-file=", "--ignore-missing-imports", "--follow-imports=silent"]
"""`make lint` checks types with every dependency at hand; a build may do without them."""


class CompiledModules(BuildHookInterface[Any]):
    """Adds extension modules to a wheel."""

    def dependencies(self) -> list[str]:
        """What compiling needs in the build's own environment."""
        return [] if PURE else COMPILER

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, or say why not and go on without."""
        if PURE or version == "editable":
            return
        scratch = TemporaryDirectory(prefix="tidegate-build-")
        self._scratch = scratch  # what is in it goes into the wheel after this returns
        try:
            with chdir(self.root):
                built = compiled(self.config["modules"], Path(scratch.name))
        except (Exception, SystemExit) as error:  # mypyc ends the process where others raise
            self.app.display_warning(f"Tidegate becomes plain Python, because compiling failed: {error!r}")
            return
        build_data["force_include"].update(built)
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


def compiled(modules: list[str], scratch: Path) -> dict[str, str]:
    """Extension modules made of ``modules`` (dotted names): where each is, and its place in the wheel."""
    from mypyc.build import mypycify
    from setuptools import Distribution
    from setuptools.command.build_ext import build_ext

    sources = [f"{SOURCE}/{name.replace('.', '/')}.py" for name in modules]
    extensions = mypycify(
        [*LENIENT, f"--cache-dir={scratch / 'types'}", *sources], group_name=GROUP, target_dir=str(scratch / "c")
    )
    build = build_ext(Distribution({"name": GROUP, "ext_modules": extensions}))
    build.build_lib, build.build_temp = str(scratch / "made"), str(scratch / "objects")
    build.parallel = os.cpu_count()
    build.ensure_finalized()
    build.run()
    made = scratch / "made"
    return {str(path): str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()}
