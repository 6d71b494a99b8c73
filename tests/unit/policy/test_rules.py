"""Policy files: what is accepted, what is refused with a line, what becomes of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import jsonschema
import pytest

from tidegate.document import read
from tidegate.errors import ConfigError
from tidegate.policy.rules import Bundle, restore, schema

Build = Callable[..., Bundle]
READ = "rules: [{id: a, may: [read], then: allow}]"
HOLD = "rules: [{id: a, may: [write], then: hold, approvers: {groups: [dba]}}]"

GOOD = [
    READ,
    HOLD,
    "rules: [{id: a, may: [connect], then: allow, for: 15m}]",
    "rules: [{id: a, may: [read], then: allow, mask: [pii], limit: {rows: 10, per: session}}]",
    "rules: [{id: a, may: [read], then: allow, unmask: [pii.email], because: b, hint: h}]",
    "rules: [{id: a, who: {groups: [g], kinds: [agent]}, on: {labels: {env: prod}}, may: [read], then: refuse}]",
    "rules: [{id: a, may: [write], where: {unbounded: true, command: delete, n: [1, x]}, then: refuse}]",
    "rules: [{id: a, may: [unknown], where: {objects: [public.*], secrets: true}, then: allow}]",
]
BAD = {
    "rules: []": "must not be empty",
    "rule: []": 'did you mean "rules"?',
    "rules: [{id: a, may: [read]}]": "is missing",
    "rules: [{id: a, then: allow}]": "is missing",
    "rules: [{id: a, may: [], then: allow}]": "must not be empty",
    "rules: [{id: a, may: ['*'], then: allow}]": "must be one of read",
    "rules: [{id: a, may: [raed], then: allow}]": 'did you mean "read"?',
    "rules: [{id: a, may: read, then: allow}]": "must be a list",
    "rules: [{id: default, may: [read], then: allow}]": "are taken",
    "rules: [{id: tidegate.x, may: [read], then: allow}]": "are taken",
    "rules: [{id: a, may: [read], then: allow, approvers: {groups: [x]}}]": "means nothing",
    "rules: [{id: a, may: [read], then: allow, within: 5m}]": "means nothing",
    "rules: [{id: a, may: [read], then: hold}]": "needs `approvers",
    "rules: [{id: a, may: [read], then: refuse, unmask: [pii]}]": "means nothing",
    "rules: [{id: a, may: [read], then: refuse, limit: {rows: 1}}]": "means nothing",
    "rules: [{id: a, may: [read], then: allow, for: 5m}]": "belongs to `may: [connect]`",
    "rules: [{id: a, may: [connect], then: allow, for: 5}]": "must be a duration",
    "rules: [{id: a, may: [read], then: allow, limit: {rows: 0}}]": "",
    "rules: [{id: a, may: [read], then: allow, limit: {rows: many}}]": "must be a whole number",
    "rules: [{id: a, may: [read], then: allow, who: }]": "is empty",
    "rules: [{id: a, may: [read], then: allow, who: {groups: []}}]": "must not be empty",
    "rules: [{id: a, may: [read], then: allow, who: {group: [x]}}]": 'did you mean "groups"?',
    "rules: [{id: a, may: [read], then: allow, on: {labels: {env: 1}}}]": "put it in quotes",
    "rules: [{id: a, may: [read], then: allow, where: {x: []}}]": "must be true",
    "rules: [{id: a, may: [read], then: allow, where: {x: {y: 1}}}]": "must be true",
    "rules: [{id: a, may: [read], then: allow, where: {objects: true}}]": "",
    "rules: [{id: a, may: [read], then: allow, mask: [PII]}]": "must be a tag",
}


@pytest.mark.parametrize("text", GOOD)
def test_good_files_are_accepted_by_both(bundle: Build, tmp_path: Path, text: str) -> None:
    """What the loader accepts, the published schema accepts."""
    assert bundle(text).rules
    jsonschema.validate(read(tmp_path / "policy0.yaml").data, schema())


@pytest.mark.parametrize(("text", "says"), BAD.items())
def test_bad_files_are_refused_by_both(bundle: Build, tmp_path: Path, text: str, says: str) -> None:
    """What the loader refuses, naming the line, the published schema refuses."""
    with pytest.raises(ConfigError, match=r"policy0\.yaml:1: ") as error:
        bundle(text)
    assert says in error.value.message
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(read(tmp_path / "policy0.yaml").data, schema())


def test_the_published_schema_is_current() -> None:
    """schema.json in the package is what `tools/reference.py` generates."""
    published = resources.files("tidegate.policy").joinpath("schema.json").read_text()
    assert json.loads(published) == schema()


def test_a_complaint_names_the_line_of_the_fault(bundle: Build) -> None:
    """The line is that of the wrong key, not of its rule."""
    with pytest.raises(ConfigError) as error:
        bundle("rules:\n  - id: a\n    may: [read]\n    the: allow\n    then: allow\n")
    assert error.value.path.endswith("policy0.yaml:4")


def test_a_misspelt_fact_is_refused(bundle: Build) -> None:
    """A restriction on a fact that never exists would fail open."""
    with pytest.raises(ConfigError, match='did you mean "unbounded"'):
        bundle("rules: [{id: a, may: [write], where: {unbouded: true}, then: refuse}]")


def test_duplicate_ids_are_refused_across_files(bundle: Build) -> None:
    """The complaint names both places."""
    with pytest.raises(ConfigError, match=r"policy1\.yaml:1: .*policy0\.yaml:1"):
        bundle(READ, READ)


def test_the_hash_ignores_order_and_layout(bundle: Build) -> None:
    """The same rules are the same bundle."""
    other = "rules:\n- {then: allow, may: [read], id: b}\n"
    assert bundle(READ, other).sha256 == bundle(other, READ).sha256


def test_the_hash_is_that_of_the_canonical_bytes(bundle: Build) -> None:
    """A bundle is stored by content and read back equal."""
    built = bundle(HOLD)
    assert hashlib.sha256(built.canonical).hexdigest() == built.sha256
    assert restore(built.canonical) == built


def test_defaults_stand_in_the_bundle(bundle: Build) -> None:
    """The evaluator needs no defaults: patience, count and lists are written out."""
    (rule,) = [rule for rule in bundle(HOLD).rules if rule["id"] == "a"]
    assert (rule["within"], rule["approvers"]["count"]) == (900, 1)
    assert bundle(GOOD[6]).rules[0]["where"]["command"] == ["delete"]


def test_built_in_rules_are_part_of_the_bundle(bundle: Build) -> None:
    """Nothing decides that is not in the hash."""
    assert "tidegate.admins" in {rule["id"] for rule in bundle(READ).rules}


def test_no_file_is_no_policy(bundle: Build) -> None:
    """An empty list of files is refused."""
    with pytest.raises(ConfigError, match="at least one file"):
        bundle()
