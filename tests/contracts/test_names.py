"""Every source file is exercised by name: no module is tested only by accident."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "tidegate"

WORKERS = "between a supervisor and its workers in tests/e2e/test_workers.py"
LOG = "a part of the log, driven through Log by tests/unit/audit and tests/faults"
ROOT_OF_ALL = "the composition root: started as processes by the end-to-end tests"
ROAD = "on the road of every statement of the end-to-end tests"

SHAPES = "one set of models in several files, which tests/unit/web/test_shapes.py looks at together"
REASONS = {
    "tidegate.app.alone": ROOT_OF_ALL,
    "tidegate.app.exchange": ROOT_OF_ALL,
    "tidegate.app.notices": ROOT_OF_ALL,
    "tidegate.app.office": ROOT_OF_ALL,
    "tidegate.app.parts": ROOT_OF_ALL,
    "tidegate.app.people": ROOT_OF_ALL,
    "tidegate.app.permits": ROOT_OF_ALL,
    "tidegate.app.process": ROOT_OF_ALL,
    "tidegate.app.road": ROOT_OF_ALL,
    "tidegate.app.run": ROOT_OF_ALL,
    "tidegate.app.supervisor": ROOT_OF_ALL,
    "tidegate.app.worker": ROOT_OF_ALL,
    **{
        f"tidegate.web.shapes.{name}": SHAPES
        for name in ("access", "approvals", "base", "credentials", "history", "people")
    },
    "tidegate.cli.serve": "one call into app, started as a process by the end-to-end tests",
    "tidegate.cli.demo.billing": "serves the API of tests/e2e/test_demo.py",
    "tidegate.cli.demo.cache": "serves the cache of tests/e2e/test_demo.py",
    "tidegate.cli.demo.roads": "played by tests/e2e/test_demo.py",
    "tidegate.cli.demo.terminal": "types what tests/e2e/test_demo.py plays",
    "tidegate.cli.demo.stage": "brings everything up in tests/e2e/test_demo.py",
    "tidegate.cli.demo.story": "played by tests/e2e/test_demo.py",
    "tidegate.cli.demo.proof": "played by tests/e2e/test_demo.py",
    "tidegate.audit.files": LOG,
    "tidegate.audit.keys": LOG,
    "tidegate.audit.origin": LOG,
    "tidegate.audit.recover": LOG,
    "tidegate.audit.settle": LOG,
    "tidegate.audit.shard": LOG,
    "tidegate.audit.waiters": LOG,
    "tidegate.audit.writer": LOG,
    "tidegate.enforcement.chronicle": ROAD,
    "tidegate.gateway.crew": WORKERS,
    "tidegate.gateway.duties": WORKERS,
    "tidegate.gateway.halt": "between a supervisor and its workers in tests/e2e/test_kill_switch.py",
    "tidegate.gateway.fleet": WORKERS,
    "tidegate.gateway.standing": "between a supervisor and its workers in tests/e2e/test_workloads.py",
    "tidegate.enforcement.door": ROAD,
    "tidegate.enforcement.relay": ROAD,
    "tidegate.enforcement.stream": ROAD,
    "tidegate.enforcement.upstream": ROAD,
}
"""Modules without a test of their own, and where they are exercised."""


def modules() -> set[str]:
    """Dotted names of all source files but package markers and the entry point."""
    paths = (path for path in SOURCE.rglob("*.py") if path.name not in ("__init__.py", "__main__.py"))
    return {".".join(("tidegate", *path.relative_to(SOURCE).with_suffix("").parts)) for path in paths}


def imported() -> set[str]:
    """Dotted names that tests import, module or member."""
    names: set[str] = set()
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module)
                names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def mirrored(module: str) -> bool:
    """Whether tests/unit has the mirror of ``module``, or of what it was split off (``sql_parse`` off ``sql``)."""
    *packages, name = module.split(".")[1:]
    directory = ROOT / "tests" / "unit" / Path(*packages)
    name = name.lstrip("_")
    return any((directory / f"test_{part}.py").exists() for part in (name, name.partition("_")[0]))


def test_every_module_has_a_test_or_a_reason() -> None:
    """A source file without a mirror, without an import by a test and without a reason is untested."""
    tested = imported()
    missing = {name for name in modules() if not mirrored(name) and name not in tested and name not in REASONS}
    assert not missing, f"no test names these modules: {sorted(missing)}"


def test_reasons_are_of_modules_that_exist() -> None:
    """A reason does not outlive its module."""
    assert not REASONS.keys() - modules()
