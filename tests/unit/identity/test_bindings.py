"""Bindings: exactly the tokens that the conditions say, and never those of a neighbour."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import Refused
from tidegate.identity.bindings import MOST, fits, read, written

BOT = {"sub": "system:serviceaccount:prod:bot"}


@pytest.mark.parametrize(
    ("conditions", "claims"),
    [
        (BOT, BOT | {"iss": "x"}),
        ({"sub": "system:serviceaccount:prod:*"}, BOT),
        ({"repository": "org/*"}, {"repository": "org/app"}),
        ({"ref": "refs/heads/release-*"}, {"ref": "refs/heads/release-1.2"}),
        ({"sub": "repo:org/app:ref:refs/heads/*"}, {"sub": "repo:org/app:ref:refs/heads/main"}),
        ({"repository_id": "17"}, {"repository_id": 17}),
        ({"ref_protected": "true"}, {"ref_protected": True}),
        ({"groups": "ci"}, {"groups": ["dev", "ci"]}),
        ({"kubernetes.io/serviceaccount/uid": "u-1"}, {"kubernetes.io": {"serviceaccount": {"uid": "u-1"}}}),
        ({"https://x.example/team": "blue"}, {"https://x.example/team": "blue"}),
        ({"job": "a*b*c"}, {"job": "a-b-b-c"}),
    ],
)
def test_what_fits(conditions: dict[str, str], claims: dict[str, Any]) -> None:
    """Exact values, patterns, numbers, lists and claims within claims."""
    assert fits(conditions, claims)


@pytest.mark.parametrize(
    ("conditions", "claims"),
    [
        ({}, BOT),
        (BOT, {}),
        (BOT, {"sub": "system:serviceaccount:prod:bot2"}),
        (BOT, {"sub": "system:serviceaccount:prod:BOT"}),
        (BOT, {"sub": "system:serviceaccount:prod:bot\n"}),
        (BOT, {"sub": ["system:serviceaccount:prod:bot"]}),
        (BOT, {"sub": {"system": "serviceaccount"}}),
        ({"sub": "system:serviceaccount:*"}, BOT),
        ({"sub": "system:serviceaccount:prod*"}, {"sub": "system:serviceaccount:prod:bot"}),
        ({"repository": "org/*"}, {"repository": "org/app/fork"}),
        ({"repository": "org*"}, {"repository": "org-evil/app"}),
        ({"repository": "org/a.p"}, {"repository": "org/app"}),
        ({"repository": "org/[a]*"}, {"repository": "org/app"}),
        ({"repository": "org/app", "ref": "refs/heads/main"}, {"repository": "org/app"}),
        ({"ref_protected": "True"}, {"ref_protected": True}),
        ({"job": "ab*ba"}, {"job": "aba"}),
        ({"job": "a*b*c"}, {"job": "a-c"}),
        ({"job": "*"}, {"job": None}),
        ({"n": "1"}, {"n": 1.0}),
        ({"kubernetes.io/namespace": "prod"}, {"kubernetes.io": "namespace"}),
    ],
)
def test_what_does_not_fit(conditions: dict[str, str], claims: dict[str, Any]) -> None:
    """Neighbours by prefix, case, separator or type, and what is absent."""
    assert not fits(conditions, claims)


@given(st.text("ab/:*", max_size=12), st.text("ab/:", max_size=12))
def test_a_star_never_crosses_a_separator(pattern: str, text: str) -> None:
    """What fits has as many separators as the pattern, in the same order."""
    if fits({"x": pattern}, {"x": text}):
        assert [c for c in pattern if c in "/:"] == [c for c in text if c in "/:"]


def test_conditions_are_kept_canonically() -> None:
    """The same conditions are the same text, and read back as they were."""
    conditions = {"sub": "b*", "repository": "org/app"}
    assert written(conditions) == written(dict(reversed(conditions.items()))) == '{"repository":"org/app","sub":"b*"}'
    assert read(written(conditions)) == conditions


@pytest.mark.parametrize(
    "conditions", [{}, {"sub": "*"}, {"sub": "system:*"}, {"ref": "main"}, {"namespace": "prod", "repository": "org/*"}]
)
def test_the_workload_itself_must_be_pinned(conditions: dict[str, str]) -> None:
    """Patterns alone, or claims that many workloads share, bind nobody."""
    with pytest.raises(Refused) as caught:
        written(conditions)
    assert caught.value.code == "binding.unpinned"


@pytest.mark.parametrize(
    "more",
    [
        {"iss": "x"}, {"aud": "x"}, {"exp": "1"}, {"act": "x"}, {"": "x"}, {"a b": "x"}, {"a": ""}, {"a": "x\n"},
        {"a": "é"}, {"a": "x" * 513}, {f"c{at}": "x" for at in range(MOST)},
    ],
)  # fmt: skip
def test_what_is_no_condition(more: dict[str, str]) -> None:
    """Claims that say when and for whom a token is, names and patterns that cannot be read, and too many of them."""
    with pytest.raises(Refused) as caught:
        written(BOT | more)
    assert caught.value.code == "binding.condition"
