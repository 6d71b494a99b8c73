"""Passwords that are guessed first: common words, names of keys side by side, years and repetitions, and mixes of them.

A list of the commonest passwords holds few of twelve characters. What people do to reach twelve is to put common parts
together (``Passw0rd2024!``, ``qwertyqwerty``, ``letmein123456``), so a password is taken apart: it is commonplace when
all of it is such parts and no more than two of them are different words.
"""

from __future__ import annotations

import re
from importlib import resources

MOST_WORDS = 2
FEWEST_LETTERS = 5
"""Different letters that a password must have."""

_WORDS = frozenset(resources.files(__package__).joinpath("commonplace.txt").read_text().split())
_KEYS = """
1234567890 qwertyuiop qwertzuiop azertyuiop asdfghjkl zxcvbnm yxcvbnm abcdefghijklmnopqrstuvwxyz
1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p qazwsxedcrfvtgbyhnujmikolp
"""
_LINES = tuple(line for row in _KEYS.split() for line in (row, row[::-1]))
_RUN = 3
"""Keys side by side that count as a part."""

_TYPED_FOR = str.maketrans({"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "i"})
_FILLING = re.compile(r"[\W\d_]+")
_REPEATED = re.compile(r"(.{1,4}?)\1{2,}")


def commonplace(password: str, name: str = "") -> bool:
    """Whether ``password`` is one of the first that anybody would try, for the person ``name``."""
    text = password.casefold()
    if len(set(text)) < FEWEST_LETTERS or _REPEATED.fullmatch(text):
        return True
    own = frozenset(part for part in re.split(r"[\W_]+", name.casefold()) if len(part) > 1)
    return _made_of(text, own)


def _made_of(text: str, own: frozenset[str]) -> bool:
    """Whether the whole text is common parts, with few different words among them."""
    size = len(text)
    words: list[frozenset[str] | None] = [frozenset(), *[None] * size]
    for start in range(size):
        so_far = words[start]
        if so_far is None or len(so_far) > MOST_WORDS:
            continue
        for end in range(start + 1, size + 1):
            part = text[start:end]
            if _FILLING.fullmatch(part) or _walk(part):
                found = so_far
            elif word := _word(part, own):
                found = so_far | {word}
            else:
                continue
            known = words[end]
            if known is None or len(found) < len(known):
                words[end] = found
    last = words[size]
    return last is not None and len(last) <= MOST_WORDS


def _word(part: str, own: frozenset[str]) -> str:
    """The common word that a part is, also with other signs in place of letters; empty if it is none."""
    spellings = (part, part.translate(_TYPED_FOR), part.translate(_TYPED_FOR | {ord("1"): "l"}))
    return next((each for each in spellings if each in _WORDS or each in own), "")


def _walk(part: str) -> bool:
    """Whether these are keys side by side, or one key again and again."""
    if len(part) < _RUN:
        return False
    return len(set(part)) == 1 or any(part in line for line in _LINES)
