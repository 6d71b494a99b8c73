"""An HTTP request to facts: never an exception, never a hang, and no other reader sees what is not among them.

Input: a line ``METHOD target``, lines of fields, an empty line, a body. Of a request that is understood, every value
that Python's own reader of queries, or another of JSON, finds in it must be a fact.
"""

from __future__ import annotations

import json
from urllib.parse import parse_qsl, unquote

import orjson

from tidegate.errors import AgentError
from tidegate.model.operation import Facts, Verb
from tidegate.operations.http import head, normalised, site
from tidegate.operations.http_reading import reading, redacted
from tidegate.operations.http_values import TEXT

SITE = site(
    {"safe": "GET", "graphql": ["/graphql"], "paths": ["/users/{id}", "/{a}-{b}.csv"], "opaque": ["PUT /files/*"]}
)
READING = frozenset(("GET", "HEAD"))


def target(data: bytes) -> None:
    """One request."""
    first, _, body = data.partition(b"\n\n")
    line, *written = first.decode("latin-1").split("\n")
    method, _, asked = line.partition(" ")
    fields = [(name, value) for name, mark, value in (each.partition(": ") for each in written) if mark]
    try:
        found = head(method, asked, fields)
    except AgentError:
        return
    assert normalised(found.target) == found.target, "a spelling is not its own"
    assert unquote(unquote(found.path)).count("/") == found.path.count("/"), "a path has other segments when decoded"
    facts = SITE.classify(found, body)
    orjson.dumps(facts.details)
    assert facts.effect or (facts.verb is Verb.READ and method in READING), "what may change something is said not to"
    assert (facts.verb is Verb.UNKNOWN) == bool(facts.reason)
    assert (SITE.template(found),) == (facts.reads + facts.writes)[:1]
    if facts.verb is not Verb.UNKNOWN:
        _compare(facts, found.query, found.values("content-type"), body)
    assert "".join(text for text, _ in reading(facts.text).parts()) == facts.text
    redacted(facts.text)


def _compare(facts: Facts, query: str, kind: list[str], body: bytes) -> None:
    if facts.command in ("query", "mutation", "subscription"):
        return
    seen = {text for _, text in parse_qsl(query, keep_blank_values=True)}
    if body and kind and not facts.details["opaque"]:
        if "json" in kind[0].lower():
            seen |= set(_scalars(orjson.loads(body)))
        else:
            seen |= {text for _, text in parse_qsl(body.decode(), keep_blank_values=True)}
    given = [found if isinstance(found, list) else [found] for found in facts.details.values()]
    known = {json.dumps(each) for found in given for each in found}
    missing = [each for each in seen if json.dumps(_short(each)) not in known]
    assert not missing, f"another reader finds {missing}"


def _scalars(value: object) -> list[object]:
    if isinstance(value, dict):
        return [each for member in value.values() for each in _scalars(member)]
    return [each for item in value for each in _scalars(item)] if isinstance(value, list) else [value]


def _short(value: object) -> object:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value[:TEXT] + "…" if isinstance(value, str) and len(value) > TEXT else value
