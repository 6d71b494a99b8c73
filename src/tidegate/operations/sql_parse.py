"""PostgreSQL text to syntax trees, by PostgreSQL's own grammar.

The grammar is libpg_query (from the postgast wheel), called directly so that a tree arrives as JSON: the protobuf road
is six times slower. A node is a JSON object of one capitalised key, ``{"SelectStmt": {...}}``; a field whose type the
grammar fixes is a bare object. Nothing here interprets a tree. Error texts quote the statement, which may hold values,
so only the position of an error is passed on.

The grammar recurses as deep as a statement is nested and does not look how much stack is left, so that a chain of
operators could end the process. Nesting is bounded by length: a long text is read on a stack of its own, sized by it.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from tidegate.errors import AgentError

Node: TypeAlias = dict[str, Any]

STATEMENTS = 1_000
"""The most statements one text may hold."""

_TREE = 8 * 2**20
"""Bytes of JSON above which a tree is not looked into: a megabyte of text can make fifty of tree."""

_SHALLOW = 16 * 1024
_STACK = 256
"""Bytes of stack for each byte of a longer text; a chain like ``1+1+1`` was measured to take 84."""


_PROMISES = re.compile(rb"(?:,\{\}\})+")


class _Error(ctypes.Structure):
    _fields_ = (
        ("message", ctypes.c_char_p),
        ("function", ctypes.c_char_p),
        ("file", ctypes.c_char_p),
        ("line", ctypes.c_int),
        ("position", ctypes.c_int),
        ("context", ctypes.c_char_p),
    )


class _Tree(ctypes.Structure):
    _fields_ = (("json", ctypes.c_char_p), ("stderr", ctypes.c_char_p), ("error", ctypes.POINTER(_Error)))


class _Body(ctypes.Structure):
    _fields_ = (("json", ctypes.c_char_p), ("error", ctypes.POINTER(_Error)))


def _library() -> ctypes.CDLL:
    package = importlib.util.find_spec("postgast")  # found, not imported: its own tree classes take long to load
    if package is None or package.origin is None:
        raise ImportError("the PostgreSQL grammar (postgast) is not installed")
    (path,) = Path(package.origin).parent.glob("libpg_query.*")
    library = ctypes.CDLL(str(path))
    for name, result in (("pg_query_parse", _Tree), ("pg_query_parse_plpgsql", _Body)):
        getattr(library, name).argtypes = (ctypes.c_char_p,)
        getattr(library, name).restype = result
    library.pg_query_free_parse_result.argtypes = (_Tree,)
    library.pg_query_free_plpgsql_parse_result.argtypes = (_Body,)
    return library


_LIBRARY = _library()


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: the kind of its node, the node's fields, and its own part of the text."""

    kind: str
    body: Node
    text: str


def parse(text: str) -> tuple[Statement, ...]:
    """The statements in ``text``. Raises AgentError if the grammar does not accept it or it is nested too deep."""
    data = _encode(text)
    result = _with_room(_LIBRARY.pg_query_parse, data)
    try:
        tree = _load(result)
    finally:
        _LIBRARY.pg_query_free_parse_result(result)
    found = tree.get("stmts", ())
    if len(found) > STATEMENTS:
        raise AgentError(f"the text holds more than {STATEMENTS} statements", hint="Send them one by one.")
    return tuple(_statement(raw, data) for raw in found)


def parse_body(text: str) -> list[Node]:
    """The PL/pgSQL functions in a CREATE FUNCTION or DO statement. Raises AgentError as ``parse`` does."""
    result = _with_room(_LIBRARY.pg_query_parse_plpgsql, _encode(text))
    try:
        functions: list[Node] = _load(result, _mended)
    finally:
        _LIBRARY.pg_query_free_plpgsql_parse_result(result)
    return functions


def single(node: object) -> tuple[str, Node] | None:
    """``(kind, fields)`` if ``node`` is a node, None if it is a bare object or anything else."""
    if isinstance(node, dict) and len(node) == 1:
        ((kind, body),) = node.items()
        if kind[:1].isupper() and isinstance(body, dict):
            return kind, body
    return None


def children(value: object) -> Iterator[tuple[str, Node]]:
    """The nearest nodes inside ``value``, looking through lists and bare objects; a type name counts as a node."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("typeName", "argType") and isinstance(inner, dict):
                yield "TypeName", inner
            else:
                yield from _nodes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _nodes(inner)


def strings(nodes: object) -> tuple[str, ...]:
    """The values of a list of String nodes; other nodes in it are left out."""
    if not isinstance(nodes, list):
        return ()
    return tuple(node["String"].get("sval", "") for node in nodes if isinstance(node, dict) and "String" in node)


def _nodes(value: object) -> Iterator[tuple[str, Node]]:
    node = single(value)
    if node is not None:
        yield node
    else:
        yield from children(value)


def _encode(text: str) -> bytes:
    if "\0" in text:
        raise AgentError("the statement holds a NUL character", hint="Remove it.")
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise AgentError("the statement is not valid Unicode", hint="Send UTF-8.") from None


def _with_room(read: Callable[[bytes], Any], data: bytes) -> Any:
    """The result of ``read``, with a stack that nesting cannot exhaust. Raises AgentError when there is no memory."""
    if len(data) <= _SHALLOW:
        return read(data)
    found: list[Any] = []
    before = threading.stack_size(len(data) * _STACK // 4096 * 4096)
    try:
        reader = threading.Thread(target=lambda: found.append(read(data)))
        reader.start()
    except RuntimeError:
        raise AgentError("there is no memory to read so long a statement", hint="Split it.") from None
    finally:
        threading.stack_size(before)
    reader.join()
    return found[0]


def _mended(tree: bytes) -> bytes:
    """The tree of a trigger's function, whose variables such as TG_OP the library writes with a brace too many."""
    return _PROMISES.sub(lambda found: found[0].replace(b"}}", b"}"), tree, count=1)


def _load(result: Any, mended: Callable[[bytes], bytes] = lambda tree: tree) -> Any:
    if result.error:
        position = result.error.contents.position
        raise AgentError(f"syntax error at byte {position}", hint="Correct the statement.")
    tree = result.json
    if len(tree) > _TREE:
        raise AgentError("the statement is too complex", hint="Split it.")
    try:
        return json.loads(mended(tree))
    except (RecursionError, ValueError):
        raise AgentError("the statement is nested too deep", hint="Split it.") from None


def _statement(raw: Node, data: bytes) -> Statement:
    start, length = raw.get("stmt_location", 0), raw.get("stmt_len", 0)
    text = data[start : start + length] if length else data[start:]
    node = single(raw.get("stmt"))
    if node is None:
        raise AgentError("the statement has no known form", hint="Rewrite it.")
    return Statement(*node, text.decode().strip())
