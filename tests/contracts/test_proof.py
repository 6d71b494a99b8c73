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
    """``Allow(...)`` is called in Session.judge and Session.settle and nowhere else."""
    makers = {
        (str(path.relative_to(SRC)), function)
        for path in SRC.rglob("*.py")
        for function, called in calls(path)
        if called.rpartition(".")[2] == "Allow"
    }
    assert makers == {("enforcement/session.py", "judge"), ("enforcement/session.py", "settle")}


def test_only_one_hand_writes_upstream() -> None:
    """In the relay, the upstream's stream is written to by Upstream.forward and Upstream.keep_in_step only."""
    writers = {
        function
        for function, called in calls(SRC / "enforcement" / "relay.py")
        if called in ("self._stream.write", "self._resource.write")
    }
    assert writers == {"forward", "keep_in_step"}


def test_forward_demands_the_proof() -> None:
    """``Upstream.forward`` takes an ``Allow``, by its annotation, which mypy checks."""
    tree = ast.parse((SRC / "enforcement" / "relay.py").read_text())
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "forward"]
    assert [ast.unparse(argument.annotation) for argument in found[0].args.args if argument.annotation] == [
        "Request",
        "Allow",
    ]
