"""Entries: the bytes of a leaf, restricted JSON in canonical form.

The domain is JSON without floats, with integers up to 2^53 - 1 and keys of ``[a-z][a-z0-9_]*``; on it, sorted compact
JSON is exactly RFC 8785. Invariant: equal leaves have equal bytes, and the bytes read back as the same leaf.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

import orjson

from tidegate.model.event import Json

LARGEST = 32_768
"""Bytes of an entry at most; a bundle could hold 65,535."""

_KEY = re.compile(r"[a-z][a-z0-9_]*\Z")
_PLAIN = frozenset({str, int, bool, type(None)})
_SORTED = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_STRICT_INTEGER
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
)


def encode(leaf: Mapping[str, Json]) -> bytes:
    """The canonical bytes of ``leaf``. Raises ValueError for what the domain does not hold, or above 32,768 bytes."""
    _check(leaf)
    try:
        entry = orjson.dumps(leaf, option=_SORTED)
    except orjson.JSONEncodeError as error:
        raise ValueError(f"the leaf cannot be written: {error}") from None
    if len(entry) > LARGEST:
        raise ValueError(f"the leaf has {len(entry)} bytes; {LARGEST} are the most")
    return entry


def decode(entry: bytes) -> dict[str, Json]:
    """The leaf of an entry. Raises ValueError when it is no JSON object."""
    leaf = orjson.loads(entry)
    if not isinstance(leaf, dict):
        raise ValueError("an entry must be a JSON object")
    return leaf


@lru_cache(4096)
def _is_key(key: object) -> bool:
    return isinstance(key, str) and _KEY.match(key) is not None


def _check(value: object) -> None:
    """Refuse what orjson would write although the domain does not hold it: floats, odd keys, other types."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not _is_key(key):
                raise ValueError(f"a leaf's keys are lower-case words, not {key!r}")
            if type(item) not in _PLAIN:
                _check(item)
    elif isinstance(value, list):
        for item in value:
            if type(item) not in _PLAIN:
                _check(item)
    elif not isinstance(value, str | int):
        raise ValueError(f"a leaf holds no {type(value).__name__}")
