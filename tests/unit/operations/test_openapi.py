"""An API document as the list of what there is: what is not in it is unknown."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidegate.errors import ConfigError
from tidegate.masking.patterns import PatternTags
from tidegate.model.operation import Facts, Verb
from tidegate.model.resource import Field
from tidegate.operations.http import Site, head, site
from tidegate.web.api import describe
from unit.operations import openapi_documents as documents

J = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the documents."""
    path = tmp_path_factory.mktemp("documents")
    (path / "shop.yaml").write_text(documents.SHOP)
    (path / "bank.json").write_text(documents.BANK)
    return path


@pytest.fixture(scope="module")
def shop(directory: Path) -> Site:
    """The shop's requests."""
    return site({"openapi": "shop.yaml"}, str(directory))


@pytest.fixture(scope="module")
def bank(directory: Path) -> Site:
    """The bank's requests."""
    return site({"openapi": "bank.json"}, str(directory))


def ask(at: Site, line: str, fields: Mapping[str, str] | None = None, body: bytes = b"") -> Facts:
    """The facts of a request."""
    method, _, target = line.partition(" ")
    return at.classify(head(method, target, list((fields or {}).items())), body)


SHOP: list[tuple[str, dict[str, str], bytes, str, str, str]] = [
    # request, fields, body, verb and object (! harmless), operation, reason
    ("GET /v1/customers", {}, b"", "!read GET /v1/customers", "listCustomers", ""),
    ("HEAD /v1/customers", {}, b"", "!read GET /v1/customers", "listCustomers", ""),
    ("GET /v1/customers?limit=5", {}, b"", "!read GET /v1/customers", "listCustomers", ""),
    ("GET /v1/customers?filter[name]=x", {}, b"", "!read GET /v1/customers", "listCustomers", ""),
    ("GET /v1/customers?filter%5Bname%5D=x", {}, b"", "!read GET /v1/customers", "listCustomers", ""),
    ("GET /v1/customers?api_key=x", {}, b"", "!read GET /v1/customers", "listCustomers", ""),
    ("GET /v1/customers?admin=1", {}, b"", "unknown GET /v1/customers", "listCustomers", "parameter"),
    ("GET /v1/customers?Limit=5", {}, b"", "unknown GET /v1/customers", "listCustomers", "parameter"),
    ("GET /v1/customers", J, b"{}", "unknown GET /v1/customers", "listCustomers", "no such body"),
    ("POST /v1/customers", J, b'{"a":1}', "write POST /v1/customers", "createCustomer", ""),
    ("POST /v1/customers", {"content-type": "multipart/form-data; boundary=x"}, b"--x", "write POST /v1/customers",
     "createCustomer", ""),
    ("POST /v1/customers", {"content-type": "text/xml"}, b"<a/>", "unknown POST /v1/customers", "createCustomer",
     "body"),
    ("POST /v1/customers", J, b"{", "unknown POST /v1/customers", "createCustomer", "not JSON"),
    ("POST /v1/customers/search", J, b'{"q":1}', "!read POST /v1/customers/search", "searchCustomers", ""),
    ("GET /v1/customers/search", {}, b"", "unknown GET /v1/customers/search", "", "no such method"),
    ("GET /v1/customers/7", {}, b"", "read GET /v1/customers/{id}", "getCustomer", ""),
    ("GET /v1/customers/7?expand=all", {}, b"", "read GET /v1/customers/{id}", "getCustomer", ""),
    ("DELETE /v1/customers/7", {}, b"", "write DELETE /v1/customers/{id}", "deleteCustomer", ""),
    ("PATCH /v1/customers/7", J, b"{}", "unknown PATCH /v1/customers/{id}", "", "no such method"),
    ("TRACE /v1/customers/7", {}, b"", "unknown TRACE /v1/customers/{id}", "", "no such method"),
    ("PUT /v1/customers/7/photo", {"content-type": "image/png"}, b"x", "write PUT /v1/customers/{id}/photo",
     "putPhoto", ""),
    ("PUT /v1/customers/7/photo", {}, b"x", "unknown PUT /v1/customers/{id}/photo", "putPhoto", "no such body"),
    ("GET /v1/reports/2024-05.csv", {}, b"", "read GET /v1/reports/{year}-{month}.csv", "", ""),
    ("HEAD /v1/reports/2024-05.csv", {}, b"", "read GET /v1/reports/{year}-{month}.csv", "peekReport", ""),
    ("GET /customers", {}, b"", "unknown GET /customers", "", "not in the API document"),
    ("GET /v1/admin", {}, b"", "unknown GET /v1/admin", "", "not in the API document"),
    ("GET /v1/customers/7/8", {}, b"", "unknown GET /v1/customers/7/8", "", "not in the API document"),
    ("GET /V1/customers", {}, b"", "unknown GET /V1/customers", "", "not in the API document"),
    ("GET /", {}, b"", "unknown GET /", "", "not in the API document"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "fields", "body", "does", "operation", "reason"), SHOP)
def test_what_is_not_in_it_is_unknown(
    shop: Site, line: str, fields: dict[str, str], body: bytes, does: str, operation: str, reason: str
) -> None:
    """Path, method, parameters and kind of body must be in the document; ``x-tidegate-safe`` says what is harmless."""
    facts = ask(shop, line, fields, body)
    verb, object = does.lstrip("!").split(" ", 1)
    assert (facts.verb, facts.effect, facts.reads + facts.writes) == (verb, not does.startswith("!"), (object,))
    assert facts.details.get("operation", "") == operation
    assert facts.details["functions"] == ([operation] if operation else [])
    assert reason in facts.reason
    assert bool(facts.reason) == (verb == "unknown")


def test_a_credential_in_the_query_is_no_fact(shop: Site) -> None:
    """A security scheme names the parameter."""
    facts = ask(shop, "GET /v1/customers?api_key=secret&limit=1")
    assert (facts.details["query"], facts.details["fields"]) == ({"limit": "1"}, ["query_limit"])


def test_a_document_of_version_3_1(bank: Site) -> None:
    """Path items by reference, members of an exploded object, parameters of any name."""
    facts = ask(bank, "POST /accounts/7/transfers", J, b'{"amount":5}')
    assert (facts.verb, facts.details["operation"], facts.details["body_amount"]) == (Verb.WRITE, "transfer", 5)
    assert ask(bank, "GET /accounts/7").details["operation"] == "account"
    assert ask(bank, "GET /accounts/7/transfers?after=x").verb is Verb.READ
    assert ask(bank, "GET /accounts/7/transfers?before=x").verb is Verb.UNKNOWN
    assert ask(bank, "GET /any?whatever=x").verb is Verb.READ


def test_tags_of_answers(shop: Site, bank: Site) -> None:
    """Through references, lists, maps and parts of a whole; without an end where a schema is in itself."""
    one = "GET /v1/customers/{id}"
    tags = {field.name: tag for field, tag in shop.tags.items() if field.object == one}
    assert tags == {
        "$.email": "pii.email", "$.cards[*]": "pii.card", "$.notes.*": "pii.notes",
        "$..email": "pii.email", "$..cards[*]": "pii.card", "$..notes.*": "pii.notes",
    }  # fmt: skip
    found = PatternTags(shop.tags, lambda _: frozenset())
    for path in ("$.email", "$.friend.friend.friend.email", "$.cards[*]", "$.friend.friend.cards[*]", "$.notes.x"):
        assert found.tag(Field(one, path)), path
    assert found.tag(Field(one, "$.friend.name")) is None
    assert found.tag(Field("GET /v1/customers", "$.items[*].email")) == "pii.email"
    assert found.tag(Field("POST /v1/customers", "$.email")) == "pii.email"
    assert found.tag(Field("DELETE /v1/customers/{id}", "$.email")) is None
    assert bank.tags[Field("GET /accounts/{account}/transfers", "$[*].iban")] == "pii.iban"
    assert bank.tags[Field("GET /accounts/{account}/transfers", "$[*].*")] == "pii"


def test_what_is_tagged_in_itself(tmp_path: Path) -> None:
    """Wherever it is, down to lists of lists of itself."""
    tree = {"type": "array", "items": {"$ref": "#/t"}, "properties": {"leaf": {"x-tidegate-tag": "pii"}}}
    node = {"x-tidegate-tag": "pii.node", "properties": {"next": {"$ref": "#/n"}}}
    answers = {"200": {"content": {"application/json": {"schema": {"$ref": "#/t"}}, "text/json": {"schema": node}}}}
    document = minimal(paths={"/a": {"get": {"responses": answers}}}, t=tree, n=node)
    (tmp_path / "api.json").write_text(json.dumps(document))
    at = site({"openapi": "api.json"}, str(tmp_path))
    assert {field.name: tag for field, tag in at.tags.items()} == {
        "$": "pii.node", "$.next": "pii.node", "$.next.next": "pii.node", "$..next": "pii.node",
        "$.leaf": "pii", "$..leaf": "pii",
    }  # fmt: skip


def test_a_read_with_a_body_that_is_not_understood(tmp_path: Path) -> None:
    """What is in it may ask for anything, although the document says that the operation is safe."""
    get = {"x-tidegate-safe": True, "requestBody": {"content": {"image/*": {}, "application/json": {}}}}
    (tmp_path / "api.json").write_text(json.dumps(minimal(paths={"/a": {"get": get}})))
    at = site({"openapi": "api.json"}, str(tmp_path))
    assert [ask(at, "GET /a", {"content-type": kind}, b"{}").effect for kind in ("image/png", "application/json")] == [
        True, False,
    ]  # fmt: skip


def test_a_document_that_a_framework_made(tmp_path: Path) -> None:
    """Each operation of the gateway's own API is found by its path, under its own name."""
    document = describe()
    (tmp_path / "api.json").write_text(json.dumps(document))
    at = site({"openapi": "api.json"}, str(tmp_path))
    for path, item in document["paths"].items():
        for method, operation in item.items():
            kinds = list(operation.get("requestBody", {}).get("content", {}))
            body = b"" if not kinds else b"{}" if "json" in kinds[0] else b"a=1"
            line = f"{method.upper()} {re.sub('{[^}]*}', 'x', path)}"
            facts = ask(at, line, {"content-type": kinds[0]} if kinds else {}, body)
            assert (facts.reason, facts.details["operation"]) == ("", operation["operationId"]), line
            assert (facts.reads + facts.writes) == (f"{method.upper()} {path}",)


def minimal(**parts: Any) -> dict[str, Any]:
    """A document with one operation, and ``parts`` of it replaced."""
    return {"openapi": "3.0.0", "paths": {"/a": {"get": {"responses": {}}}}, **parts}


TAGGED = {"type": "object", "x-tidegate-tag": "Not A Tag"}
BAD: list[tuple[object, str]] = [
    ([], "version 3.0 or 3.1"),
    ({"swagger": "2.0"}, "version 3.0 or 3.1"),
    (minimal(openapi="3.2.0"), "version 3.0 or 3.1"),
    (minimal(paths=["/a"]), "no mapping"),
    (minimal(paths={"/a": {"$ref": "other.yaml#/x"}}), "another document"),
    (minimal(paths={"/a": {"$ref": "http://evil/x"}}), "another document"),
    (minimal(paths={"/a": {"$ref": "#/nowhere"}}), "leads nowhere"),
    (minimal(paths={"/a": {"$ref": "#/x"}}, x={"$ref": "#/y"}, y={"$ref": "#/x"}), "without an end"),
    (minimal(paths={"/a": "x"}), "something else"),
    (minimal(paths={"/a": {"get": {"parameters": {}}}, "/b": {"get": {"parameters": {"a": 1}}}}), "no list"),
    (minimal(paths={"/a/{x}": {"get": {}}, "/a/{y}": {"get": {}}}), "same paths"),
    (minimal(paths={"/a?x=1": {"get": {}}}), "no path"),
    (minimal(paths={"/a": {"get": {"responses": {"200": {"content": {"x/y": {"schema": TAGGED}}}}}}}), "must be a tag"),
]


@pytest.mark.parametrize(("document", "words"), BAD)
def test_a_document_that_is_none_is_refused(tmp_path: Path, document: object, words: str) -> None:
    """At start, with the file's name; nothing is fetched."""
    (tmp_path / "api.json").write_text(json.dumps(document))
    with pytest.raises(ConfigError) as caught:
        site({"openapi": "api.json"}, str(tmp_path))
    assert words in caught.value.message
    assert "api.json" in caught.value.message


@pytest.mark.parametrize("text", ["a: [", "{", "{" * 100_000, "a: !!python/object/apply:os.system [x]", "\0"])
def test_a_file_that_is_neither_is_refused(tmp_path: Path, text: str) -> None:
    """No YAML does anything but hold data."""
    (tmp_path / "api.yaml").write_text(text)
    with pytest.raises(ConfigError, match="neither JSON nor YAML"):
        site({"openapi": "api.yaml"}, str(tmp_path))


def test_a_file_may_be_too_large(tmp_path: Path) -> None:
    """Nothing is read without an end."""
    with (tmp_path / "api.yaml").open("wb") as file:
        file.truncate(17 * 1024 * 1024)
    with pytest.raises(ConfigError, match="larger than"):
        site({"openapi": "api.yaml"}, str(tmp_path))


def test_servers_of_a_path_or_an_operation(tmp_path: Path) -> None:
    """The nearest list of servers counts; each of them is a beginning."""
    document = minimal(
        servers=[{"url": "https://a/x/"}, {"url": "/y"}],
        paths={
            "/a": {"get": {}, "post": {"servers": [{"url": "https://b/z"}]}},
            "/b": {"get": {}, "servers": [{"url": "/"}]},
        },
    )
    (tmp_path / "api.json").write_text(json.dumps(document))
    at = site({"openapi": "api.json"}, str(tmp_path))
    known = [line for line in ("GET /x/a", "GET /y/a", "GET /z/a", "POST /z/a", "POST /x/a", "GET /b", "GET /x/b")
             if ask(at, line).verb is not Verb.UNKNOWN]  # fmt: skip
    assert known == ["GET /x/a", "GET /y/a", "POST /z/a", "GET /b"]


def test_the_digest_is_of_the_document_too(tmp_path: Path) -> None:
    """Another document is another site."""
    digests = set()
    for path in ("/a", "/b"):
        (tmp_path / "api.json").write_text(json.dumps(minimal(paths={path: {"get": {}}})))
        digests.add(site({"openapi": "api.json"}, str(tmp_path)).digest)
    assert len(digests) == 2


SEGMENT = st.text(alphabet="abcdefXYZ0123456789-_~.", min_size=1, max_size=8).filter(lambda text: text.strip("."))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(SEGMENT, max_size=4), st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]))
def test_any_path_is_an_operation_or_unknown(shop: Site, segments: list[str], method: str) -> None:
    """An operation is found exactly where its template says so."""
    facts = ask(shop, f"{method} /v1/" + "/".join(segments))
    expected = ""
    match segments:
        case ["customers"]:
            expected = {"GET": "listCustomers", "POST": "createCustomer"}.get(method, "")
        case ["customers", "search"]:
            expected = "searchCustomers" if method == "POST" else ""
        case ["customers", _]:
            expected = {"GET": "getCustomer", "DELETE": "deleteCustomer"}.get(method, "")
        case ["customers", _, "photo"]:
            expected = "putPhoto" if method == "PUT" else ""
    assert facts.details.get("operation", "") == expected
    if not expected and segments[:1] != ["reports"]:
        assert facts.verb is Verb.UNKNOWN
