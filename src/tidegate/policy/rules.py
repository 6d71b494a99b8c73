"""Policy files: the shape of a rule, and the bundle that one or more files become.

A bundle is canonical JSON (keys sorted, rules sorted by id, durations in seconds, every ``where`` value a list), so
that the same rules have the same SHA-256 whatever the files' order and layout, and so that ``judge`` and the offline
verifier read exactly what is stored. The built-in rules are part of it: nothing decides that is not in the bundle.

Invariants: an unknown key, a duplicate id, a setting that its ``then`` gives no meaning to, or a condition that looks
like a misspelt one is refused with file and line, since a restriction that silently never matches would fail open.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import orjson
from pydantic import ConfigDict, Field, StrictBool, StrictInt, model_validator
from pydantic.config import JsonDict, JsonValue

from tidegate.document import Document, Duration, Form, Strict, choice, read, text, validate, wrong
from tidegate.errors import ConfigError

from .judge import GATEWAY, OPERATION_VERBS

GATEWAY_VERBS = ("connect", "mint", "approve", "observe", "operate", "break-glass")
PATIENCE = 15 * 60
"""Seconds that a hold waits when its rule does not say ``within``."""

BUILT_IN: tuple[Mapping[str, Any], ...] = (
    {
        "id": "tidegate.admins",
        "who": {"groups": ["admins"]},
        "on": {"resources": [GATEWAY]},
        "may": ["mint", "observe", "operate"],
        "then": "allow",
    },
)
"""Rules that exist without being written. Nobody else may do anything to the gateway itself."""

_PATTERNS = ("objects", "command", "functions")
_FACTS = (*_PATTERNS, "unbounded", "multi", "secrets", "effect", "bulk", "setting", "explain", "transaction")

Word = Annotated[str, text(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}", "must be a name: letters, digits and . _ @ + -")]
Tag = Annotated[str, text(r"[a-z][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*)*", "must be a tag such as pii or pii.email")]
FactName = Annotated[str, text(r"[a-z][a-z0-9_]*", "must be the name of a fact, such as unbounded")]
Verb = Annotated[str, choice(*OPERATION_VERBS, *GATEWAY_VERBS)]
Kind = Annotated[str, choice("user", "agent", "service")]
Effect = Annotated[str, choice("allow", "refuse", "hold")]
Per = Annotated[str, choice("operation", "session")]
Id = Annotated[
    str,
    text(
        r"(?!tidegate\.)(?!default$)[a-z0-9][a-z0-9._-]{0,62}",
        "must be lower-case letters, digits and . _ -; `default` and ids that begin with `tidegate.` are taken",
    ),
]


def _values(value: object) -> list[object]:
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(item, (bool, int, str)) for item in values):
        raise wrong("must be true, false, a whole number, a text, or a list of these")
    return values


_SCALAR = {"type": ["boolean", "integer", "string"]}
Values = Annotated[list[Any], Form(_values, {"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR, "minItems": 1}]})]
_TEXTS: JsonDict = {
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}],
}


class Who(Strict):
    """Whom a rule speaks of: each key that is there must fit the hop."""

    groups: list[Word] | None = Field(None, min_length=1, description="any of these groups")
    subjects: list[Word] | None = Field(None, min_length=1, description="any of these names")
    kinds: list[Kind] | None = Field(None, min_length=1, description="`user`, `agent`, `service`")


class On(Strict):
    """Which resources a rule speaks of: each key that is there must fit."""

    resources: list[Word] | None = Field(None, min_length=1, description="any of these resources")
    labels: dict[str, str] | None = Field(None, min_length=1, description="all of these labels")


class Limit(Strict):
    """How many rows may come back."""

    rows: StrictInt = Field(ge=1, description="rows at most")
    per: Per = Field("operation", description="`operation` or `session`")


class Escalation(Strict):
    """Who else may answer when nobody has."""

    groups: list[Word] = Field(min_length=1, description="people of any of these groups, too")
    after: Duration = Field(description="how long the others have before")


class Approving(Strict):
    """Who answers a hold."""

    groups: list[Word] = Field(min_length=1, description="people of any of these groups")
    count: StrictInt = Field(1, ge=1, le=10, description="how many different people must say yes")
    signed: StrictBool = Field(False, description="only a yes signed by the person's own passkey or ssh key counts")
    escalate: Escalation | None = Field(None, description="who else may answer after a while")


_MEANINGLESS = {
    "allow": ("approvers", "within", "patience", "break_glass"),
    "hold": ("unmask", "standing", "break_glass"),
    "refuse": ("approvers", "within", "patience", "mask", "unmask", "limit", "for", "standing"),
}
_SENSE: list[JsonValue] = [
    {"if": {"properties": {"then": {"const": "hold"}}}, "then": {"required": ["approvers"]}},
    {
        "if": {"properties": {"then": {"enum": ["allow", "refuse"]}}},
        "then": {"properties": {"approvers": False, "within": False, "patience": False}},
    },
    {
        "if": {"properties": {"then": {"enum": ["allow", "hold"]}}},
        "then": {"properties": {"break_glass": False}},
    },
    {
        "if": {"properties": {"then": {"enum": ["refuse", "hold"]}}},
        "then": {"properties": {"standing": False}},
    },
    {
        "if": {"properties": {"then": {"const": "refuse"}}},
        "then": {"properties": {"mask": False, "limit": False, "for": False}},
    },
    {"if": {"properties": {"then": {"enum": ["hold", "refuse"]}}}, "then": {"properties": {"unmask": False}}},
    {
        "if": {"required": ["for"]},
        "then": {"properties": {"may": {"contains": {"enum": ["connect", "mint", "break-glass"]}}}},
    },
    {
        "if": {"required": ["standing"]},
        "then": {"properties": {"may": {"contains": {"const": "connect"}}}},
    },
]


class Rule(Strict):
    """One rule as it is written."""

    model_config = ConfigDict(json_schema_extra={"allOf": _SENSE})

    id: Id = Field(description="stands in every decision and in the audit log")
    who: Who | None = Field(None, description="whom it speaks of; left out: anybody")
    on: On | None = Field(None, description="which resources; left out: any, but an allow never reaches the gateway")
    may: list[Verb] = Field(min_length=1, description="verbs; there is no wildcard")
    where: dict[FactName, Values] | None = Field(
        None,
        min_length=1,
        description="conditions on the operation, all of them",
        json_schema_extra={"properties": {name: _TEXTS for name in _PATTERNS}},
    )
    then: Effect = Field(description="refuse beats hold beats allow; with nothing allowed the answer is no")
    mask: list[Tag] | None = Field(None, min_length=1, description="tags (or what they begin with) masked in any case")
    unmask: list[Tag] | None = Field(None, min_length=1, description="tags shown in clear; only with `then: allow`")
    limit: Limit | None = Field(None, description="the least of the matching rules' limits counts")
    approvers: Approving | None = Field(None, description="who answers; needed by `then: hold`, only there")
    within: Duration | None = Field(None, description="how long a hold waits; 15m if left out")
    patience: Duration | None = Field(
        None,
        description="how long the agent waits on the line; then it is told to ask again; `within` if left out",
    )
    longest: Duration | None = Field(
        None, alias="for", description="longest grant; with `may: [connect]`, `[mint]` or `[break-glass]`"
    )
    standing: StrictBool | None = Field(
        None, description="with `may: [connect]`: no request is needed; every use is reported as standing access"
    )
    break_glass: StrictBool | None = Field(
        None, description="with `then: refuse`: a break-glass grant lifts this refusal"
    )
    because: str | None = Field(None, description="the reason as the agent reads it")
    hint: str | None = Field(None, description="what to do instead, as the agent reads it")

    @model_validator(mode="after")
    def _sense(self) -> Rule:
        if self.then == "hold" and self.approvers is None:
            raise wrong("a hold needs `approvers: {groups: [...]}`")
        written = self.model_dump(by_alias=True, exclude_none=True)
        unfit = [key for key in _MEANINGLESS[self.then] if key in written]
        if unfit:
            raise wrong(f"`{unfit[0]}` means nothing with `then: {self.then}`: remove it")
        if self.longest is not None and not {"connect", "mint", "break-glass"} & set(self.may):
            raise wrong("`for` belongs to `may: [connect]`, `[mint]` or `[break-glass]`: remove it")
        if self.standing is not None and "connect" not in self.may:
            raise wrong("`standing` belongs to `may: [connect]`: remove it")
        for name, values in (self.where or {}).items():
            _check_condition(name, values)
        return self


def _check_condition(name: str, values: Sequence[object]) -> None:
    if name in _PATTERNS and not all(isinstance(value, str) for value in values):
        raise wrong(f"`where.{name}` must be a text or a list of texts")
    near = [] if name in _FACTS else difflib.get_close_matches(name, _FACTS, n=1, cutoff=0.85)
    if near:
        raise wrong(f'unknown fact `{name}` in `where`; did you mean "{near[0]}"?')


class RuleFile(Strict):
    """One policy file."""

    rules: list[Rule] = Field(min_length=1, description="the rules; their order never matters")


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a policy file, published as ``schema.json`` for editors.

    It knows all that ``load_bundle`` checks but duplicate ids and facts that look misspelt.
    """
    shape = RuleFile.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_without_null(shape)}


def _without_null(part: Any) -> Any:
    # In Python a key left out is None; in the file there is no null.
    if isinstance(part, list):
        return [_without_null(item) for item in part if item != {"type": "null"}]
    if not isinstance(part, dict):
        return part
    return {key: _without_null(value) for key, value in part.items() if not (key == "default" and value is None)}


@dataclass(frozen=True, slots=True)
class Bundle:
    """A whole policy: canonical JSON, its SHA-256 in hex, and its rules as ``judge`` reads them."""

    canonical: bytes
    sha256: str
    rules: tuple[Mapping[str, Any], ...]


def load_bundle(paths: Iterable[Path]) -> Bundle:
    """The policy that these files are together. Raises ConfigError with file and line."""
    rules: dict[str, Mapping[str, Any]] = {str(rule["id"]): rule for rule in BUILT_IN}
    places: dict[str, str] = {}
    for path in paths:
        document = read(path)
        for index, rule in enumerate(validate(document, RuleFile).rules):
            if rule.id in rules:
                raise _twice(document, index, rule.id, places)
            places[rule.id] = f"{path}:{document.line(('rules', index))}"
            rules[rule.id] = _plain(rule)
    if not places:
        raise ConfigError("a policy needs at least one file", hint="Name it under policy.files in tidegate.yaml.")
    return restore(orjson.dumps({"rules": [rules[name] for name in sorted(rules)]}, option=orjson.OPT_SORT_KEYS))


def _twice(document: Document, index: int, name: str, places: Mapping[str, str]) -> ConfigError:
    return document.complaint(
        ("rules", index, "id"),
        f"the id is taken by the rule at {places[name]}",
        hint="Give each rule an id of its own.",
    )


def restore(canonical: bytes) -> Bundle:
    """A stored bundle, read back from its canonical JSON."""
    return Bundle(canonical, hashlib.sha256(canonical).hexdigest(), tuple(orjson.loads(canonical)["rules"]))


def _plain(rule: Rule) -> Mapping[str, Any]:
    plain = rule.model_dump(by_alias=True, exclude_none=True)
    if rule.then == "hold":
        plain.setdefault("within", PATIENCE)
        plain["patience"] = min(plain.get("patience", plain["within"]), plain["within"])
    return plain
