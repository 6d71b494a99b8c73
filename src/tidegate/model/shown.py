"""Values as people may safely see them.

Statements, names and reasons are written by agents. Shown raw on a terminal they could move the cursor, change colours
or reverse the reading order, so that a person approves something else than what runs. Nothing here imports a framework:
the command line uses it too.
"""

from __future__ import annotations

import unicodedata

_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def safe(text: str, *, lines: bool = False) -> str:
    """``text`` with control, format and unassigned characters written as escapes; ``lines`` keeps newline and tab."""
    if text.isascii() and text.isprintable():
        return text
    kept = "\n\t" if lines else ""
    return "".join(char if char in kept or not _unsafe(char) else _escape(char) for char in text)


def _unsafe(char: str) -> bool:
    return unicodedata.category(char) in _UNSAFE


def _escape(char: str) -> str:
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
