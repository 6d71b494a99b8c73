"""Nothing is forwarded unjudged: who may make an ``Allow``, and who may write upstream."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

SRC = Path(__file__).parents[2] / "src" / "tidegate"


def calls(path: Path) -> Iterator[tuple[str, str]]:
    """(enclosing function, called expression) of every call in a file."""
    tree = ast.parse(path.read_text())
    for outer in ast.walk(tree):
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef):
            for inner in ast.walk(outer):
                if isinstance(inner, ast.Call):
                    yield outer.name, ast.unparse(inner.func)


def test_only_the_session_makes_an_allow() -> None:
    """``Allow(...)`` is called in Session.judge and in what Session.settle leads to, and nowhere else."""
    makers = {
        (str(path.relative_to(SRC)), function)
        for path in SRC.rglob("*.py")
        for function, called in calls(path)
        if called.rpartition(".")[2] == "Allow"
    }
    assert makers == {("enforcement/session.py", "judge"), ("enforcement/session.py", "_asked")}


def test_only_one_hand_writes_upstream() -> None:
    """A relay's upstream is written to by Upstream.forward, keep_in_step and ask only."""
    writers = {
        function.name
        for name in ("relay.py", "delivery.py", "upstream.py")
        for function in ast.walk(ast.parse((SRC / "enforcement" / name).read_text()))
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("self._stream.write", "self._resource.write")
    }
    assert writers == {"forward", "keep_in_step", "ask"}


def test_forward_demands_the_proof() -> None:
    """``Upstream.forward`` takes an ``Allow``, by its annotation, which mypy checks."""
    tree = ast.parse((SRC / "enforcement" / "upstream.py").read_text())
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "forward"]
    assert [ast.unparse(argument.annotation) for argument in found[0].args.args if argument.annotation] == [
        "Request",
        "Allow",
    ]
