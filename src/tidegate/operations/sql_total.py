"""Which computations over a masked field tell nothing of its value beside their result, which the mask covers.

A result can be masked, but not that the statement failed, that a value is null, how long it took or how many rows there
are: ``1 / (ascii(email) - 112)``, ``nullif(email, 'x')`` and ``generate_series(1, ascii(email))`` spell a value without
showing it. Total here means: for every value the computation succeeds, is null only if the field is, and gives one row.
Whatever else takes in a field *looks* at it, like a predicate. The lists are short; what is missing is a look.
"""

from __future__ import annotations

from collections.abc import Sequence

from .sql_parse import Node

_FUNCTIONS = frozenset(
    {
        "array_agg", "array_to_json", "ascii", "avg", "bit_length", "char_length", "character_length", "concat",
        "concat_ws", "count", "first_value", "initcap", "json_agg", "json_agg_strict", "json_build_array", "jsonb_agg",
        "jsonb_build_array", "last_value", "length", "lower", "max", "md5", "min", "octet_length", "pg_typeof",
        "quote_literal", "quote_nullable", "replace", "reverse", "row_to_json", "sha224", "sha256", "sha384", "sha512",
        "string_agg", "sum", "to_json", "to_jsonb", "translate", "upper",
    }
)  # fmt: skip
"""Total whatever their arguments are."""

_BY_FIRST = frozenset(("btrim", "left", "ltrim", "right", "rtrim", "split_part", "substr", "to_char"))
"""Total in their first argument; the others are lengths, places and patterns, which can fail."""

_BY_LAST = frozenset(("date_part", "extract"))

_TEXTS = frozenset(("bpchar", "char", "name", "text", "varchar"))


def showing(function: str, arguments: Sequence[tuple[str, Node]]) -> list[tuple[str, Node]]:
    """Those arguments of a built-in that it turns into its result and does not look at."""
    if function in _FUNCTIONS:
        return list(arguments)
    if function in _BY_FIRST:
        return list(arguments[:1])
    return list(arguments[-1:]) if function in _BY_LAST else []


def joins_texts(operator: tuple[str, ...]) -> bool:
    """Whether the operator is concatenation, the only one that neither fails nor compares."""
    return operator[-1:] == ("||",)


def casts_to_text(names: tuple[str, ...]) -> bool:
    """Whether every value can be cast to the type of this name."""
    return names[-1:] != () and names[-1] in _TEXTS
