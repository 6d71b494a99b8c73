"""Writes docs/reference/errors.md: every error code that the source can raise, with whose fault it is and an example.

The source is read, not run: a code is the ``code=`` of a call or the ``code`` of an error class. Run it after adding a
code; a test compares.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "errors.md"

FAULT = {
    "AgentError": "the agent's bytes or credential",
    "Refused": "a rule, or the lack of one",
    "ResourceError": "the upstream",
    "ConfigError": "a file the operator wrote",
    "IntegrityError": "evidence does not hold",
    "LogFailure": "evidence cannot be written",
    "Refuse": "a rule, or the lack of one",
    "TidegateError": "Tidegate",
}

HEAD = """# Errors

Each error has a stable code, a message that says what happened, and a hint that says what to do. The code is what an
agent or a script should look at; messages may change. This page is generated from the source.

| code | whose fault | for example |
|---|---|---|
"""


def words(node: ast.expr | None) -> str:
    """The text of a literal or of an f-string, with ``…`` for what is filled in."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(words(value) or "…" for value in values)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return words(left) + words(right)
    return ""


def found(tree: ast.AST) -> Iterator[tuple[str, str, str]]:
    """Code, error class and message of each error in a file."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=args, keywords=keywords) if (
                name in FAULT
            ):
                named = {keyword.arg: words(keyword.value) for keyword in keywords}
                if code := named.get("code"):
                    yield code, name, named.get("reason") or (words(args[0]) if args else "")
            case ast.ClassDef(name=name, body=body) if name in FAULT:
                yield from ((words(line.value), name, "") for line in body if isinstance(line, ast.Assign))


def page() -> str:
    """The page as it should be."""
    rows: dict[str, tuple[str, str]] = {}
    for path in sorted((ROOT / "src").rglob("*.py")):
        for code, name, message in found(ast.parse(path.read_text())):
            if code not in rows or not rows[code][1]:
                rows[code] = (FAULT[name], " ".join(message.split()))
    lines = (
        f"| `{code}` | {fault} | {message.replace('|', chr(92) + '|')} |\n"
        for code, (fault, message) in sorted(rows.items())
    )
    return HEAD + "".join(lines)


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page())
