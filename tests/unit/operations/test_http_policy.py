"""The templates of policies decide about requests as they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.model.identity import Hop, Identity, Kind
from tidegate.model.resource import Address, Resource
from tidegate.operations.http import head, site
from tidegate.policy.engine import Engine
from tidegate.policy.rules import load_bundle

ROOT = Path(__file__).parents[3]
J = {"content-type": "application/json"}
ALICE = Hop("alice", "alice", Kind.USER, ("staff",))
AGENT = Hop("agent", "agent", Kind.AGENT, ("agents",))


def decided(policy: str, options: dict[str, object], line: str, body: bytes = b"", fields: dict[str, str] = J) -> str:
    """What a template says to an agent's request: effect and first rule."""
    engine = Engine(load_bundle([ROOT / "examples" / policy]))
    method, _, target = line.partition(" ")
    facts = site(options, str(ROOT / "examples/billing")).classify(head(method, target, list(fields.items())), body)
    labels = {"api": "graphql"} if "graphql" in policy else {}
    resource = Resource("billing", "http", Address("h", 1), labels=labels)
    decision, _ = engine.decide(Identity((ALICE, AGENT)), resource, facts)
    return f"{decision.effect.value} {decision.rules[0]}"


API: list[tuple[str, bytes, str]] = [
    ("GET /v1/customers/7", b"", "allow read"),
    ("GET /v1/customers?limit=5", b"", "allow read"),
    ("PATCH /v1/customers/7", b'{"name":"Bob"}', "allow change-a-customer"),
    ("PATCH /v1/customers/7", b'{"name":"Bob","address":{"city":"x"}}', "allow change-a-customer"),
    ("PATCH /v1/customers/7", b'{"name":"Bob","role":"admin"}', "refuse nobody-changes-roles"),
    ("PATCH /v1/customers/7", b'{"name":"Bob","ROLE":"admin"}', "refuse nobody-changes-roles"),
    ("PATCH /v1/customers/7", b'{"name":"Bob","credit":1}', "refuse default"),
    ("PATCH /v1/customers/7?credit=1", b'{"name":"Bob"}', "refuse default"),
    ("PATCH /v1/customers/7", b'{"name":"a","name":"b"}', "refuse default"),
    ("PATCH /v1/customers", b'{"name":"Bob"}', "hold whole-collections-wait"),
    ("POST /v1/customers", b'{"name":"Bob"}', "allow change-a-customer"),
    ("POST /v1/customers/7?_method=DELETE", b'{"name":"Bob"}', "refuse default"),
    ("POST /v1/refunds", b'{"invoice":7,"amount":5}', "hold refunds-wait-for-finance"),
    ("DELETE /v1/customers/7", b"", "refuse nothing-is-deleted"),
    ("POST /v1/other", b'{"name":"Bob"}', "refuse default"),
    ("GET /v1/customers?a;b", b"", "refuse default"),
]


@pytest.mark.parametrize(("line", "body", "verdict"), API)
def test_an_api(line: str, body: bytes, verdict: str) -> None:
    """Reads pass, changes within a list of fields pass, money and collections wait, the unknown is refused."""
    assert decided("policy/http-api.yaml", {}, line, body) == verdict


GRAPHQL: list[tuple[str, str]] = [
    ('{"query":"{product(id:1){name}}"}', "allow ask"),
    ('{"query":"{product(id:1){name} user{email}}"}', "refuse default"),
    ('{"query":"{product:user{email}}"}', "refuse default"),
    ('{"query":"{...F} fragment F on Query{orders{id}}"}', "allow ask"),
    ('{"query":"{__schema{types{name}}}"}', "refuse schema-stays-inside"),
    ('{"query":"mutation{updateOrder(id:1){id}}"}', "hold change-an-order"),
    ('{"query":"mutation{updateOrder:deleteOrder(id:1){id}}"}', "refuse default"),
    ('{"query":"mutation{updateOrder(id:1){id} deleteOrder(id:1){id}}"}', "hold change-an-order"),
    ('{"query":"subscription{orders{id}}"}', "refuse no-subscriptions"),
    ('[{"query":"{orders{id}}"}]', "refuse default"),
]


@pytest.mark.parametrize(("body", "verdict"), GRAPHQL)
def test_graphql(body: str, verdict: str) -> None:
    """Every field counts, by its real name."""
    assert decided("policy/graphql.yaml", {"graphql": ["/graphql"]}, "POST /graphql", body.encode()) == verdict


@pytest.mark.parametrize(
    ("line", "body", "verdict"),
    [
        ("GET /v1/customers?limit=5", b"", "allow read"),
        ("GET /v1/customers?limit=5&admin=1", b"", "refuse default"),
        ("GET /v1/customers/7", b"", "allow read"),
        ("POST /v1/refunds", b'{"invoice":7,"amount":5}', "hold refunds-wait-for-finance"),
        ("GET /v1/admin", b"", "refuse default"),
    ],
)
def test_the_billing_example(line: str, body: bytes, verdict: str) -> None:
    """Its document is the list of what there is."""
    assert decided("billing/policy.yaml", {"openapi": "openapi.yaml"}, line, body) == verdict


def test_the_billing_example_has_tags() -> None:
    """They come with the document."""
    tags = site({"openapi": "openapi.yaml"}, str(ROOT / "examples/billing")).tags
    assert {(field.object, field.name): tag for field, tag in tags.items()} == {
        ("GET /v1/customers", "$.items[*].email"): "pii.email",
        ("GET /v1/customers", "$.items[*].iban"): "pii.iban",
        ("GET /v1/customers/{id}", "$.email"): "pii.email",
        ("GET /v1/customers/{id}", "$.iban"): "pii.iban",
    }
