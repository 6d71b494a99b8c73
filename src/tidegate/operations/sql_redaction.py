"""SQL that may leave the house: every literal and parameter is a question mark, every comment is gone.

What the grammar's own scanner calls a name, a keyword or a sign stays. Names that could be more than names do not: one
in quotes that is no plain word, and statements that set something, whose values need no quotes. A text that the grammar
does not accept has no such form: a slip of the agent's may have put a value anywhere.
"""

from __future__ import annotations

import re

from tidegate.errors import AgentError

from .sql_parse import parse
from .sql_reading import LONGEST

_VALUES = frozenset(
    ["SCONST", "USCONST", "XCONST", "BCONST", "ICONST", "FCONST", "PARAM", "TRUE_P", "FALSE_P", "UIDENT"]
)
_COMMENTS = frozenset(["SQL_COMMENT", "C_COMMENT"])
_NAME = re.compile(r'[A-Za-z_][A-Za-z0-9_$]{0,62}|"[A-Za-z_][A-Za-z0-9_$]{0,62}"', re.ASCII)
_SETS = ("VariableSetStmt", "setstmt")
"""How the tree calls a setting, on its own or as a part of another statement."""


def redacted(text: str) -> str:
    """``text`` without values, on one line; empty when it cannot be said so. Blocks for a moment; never raises."""
    if len(text) > LONGEST or "\0" in text or not _readable(text):
        return ""
    import postgast  # its classes take long to load, and only notices need them

    try:
        words = postgast.scan(text).tokens
    except (postgast.PgQueryError, UnicodeError):
        return ""
    data, names = text.encode(), postgast.pg_query_pb2.Token.Name
    parts, place = list[str](), 0
    for word in words:
        parts += [" " * (word.start > place), _shown(names(word.token), data[word.start : word.end].decode())]
        place = word.end
    return " ".join("".join(parts).split())


def _readable(text: str) -> bool:
    try:
        return not any(word in f"{each.kind} {each.body}" for each in parse(text) for word in _SETS)
    except (AgentError, RecursionError):
        return False


def _shown(name: str, written: str) -> str:
    if name in _COMMENTS:
        return ""
    named = name == "IDENT" or written.startswith('"')
    return "?" if name in _VALUES or (named and not _NAME.fullmatch(written)) else written
