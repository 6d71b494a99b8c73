"""GraphQL requests: what they ask for, under whatever name, and what nobody can say of them."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.model.operation import Facts, Verb
from tidegate.operations.http import head, original, site

SITE = site({"graphql": ["/graphql"], "safe": ["POST /graphql"]})
J = "application/json"
BOMB = (
    "query{...a0}"
    + "".join(f"fragment a{n} on T{{...a{n + 1} ...a{n + 1}}}" for n in range(20))
    + "fragment a20 on T{x}"
)


def ask(body: object = None, *, query: str = "", kind: str = J, method: str = "POST", **members: object) -> Facts:
    """The facts of a request to /graphql: a document, or the JSON of the body, or a query string."""
    sent = {"query": body, **members} if isinstance(body, str) else body
    raw = b"" if sent is None else sent if isinstance(sent, bytes) else json.dumps(sent).encode()
    fields = [("content-type", kind)] if kind else []
    return SITE.classify(head(method, "/graphql" + query, fields), raw)


FIELDS: list[tuple[str, str, str, list[str]]] = [
    # document, verb, command, fields
    ("{user{email}}", "read", "query", ["Query.user", "Query.user.email"]),
    ("query{user{email}}", "read", "query", ["Query.user", "Query.user.email"]),
    ("query A{a}", "read", "query", ["Query.a"]),
    ("mutation{drop(id:1){ok}}", "write", "mutation", ["Mutation.drop", "Mutation.drop.ok"]),
    ("subscription{news{id}}", "read", "subscription", ["Subscription.news", "Subscription.news.id"]),
    ("{a:b{c:d}}", "read", "query", ["Query.b", "Query.b.d"]),
    ("{...F} fragment F on Query{a{...G}} fragment G on A{b}", "read", "query", ["Query.a", "Query.a.b"]),
    ("{...on Query{a}}", "read", "query", ["Query.a"]),
    ("{...@include(if:true){a}}", "read", "query", ["Query.a"]),
    ("{a @skip(if:true)}", "read", "query", ["Query.a"]),
    ("{a{...on X{id}...on Y{id}}}", "read", "query", ["Query.a", "Query.a.id"]),
    ("#mutation{x}\n{a}", "read", "query", ["Query.a"]),
    ('{a(s:"mutation{x}")}', "read", "query", ["Query.a"]),
    ('{a(s:"""mutation{x}""")}', "read", "query", ["Query.a"]),
    ("{mutation{query}}", "read", "query", ["Query.mutation", "Query.mutation.query"]),
    (",,,{a,,b}", "read", "query", ["Query.a", "Query.b"]),
    ("fragment F on M{drop} mutation{...F}", "write", "mutation", ["Mutation.drop"]),
    ("\ufeff{a}", "read", "query", ["Query.a"]),
]

UNCLEAR: list[tuple[object, str]] = [
    ("", "no query"),
    ("   ", "no query"),
    ({"query": None}, "no query"),
    ({"query": ["{a}"]}, "no query"),
    ({"id": "abc"}, "members"),
    ({"query": "{a}", "id": "abc"}, "members"),
    ({"query": "{a}", "Query": "mutation{b}"}, "members"),
    ({"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "aa"}}}, "no query"),
    ({"query": "{a}", "extensions": {"persistedQuery": {"version": 1, "sha256Hash": "aa"}}}, "hash"),
    ({"query": "{a}", "variables": "{}"}, "kinds"),
    ({"query": "{a}", "operationName": 1}, "kinds"),
    ([{"query": "{a}"}, {"query": "mutation{b}"}], "batch"),
    ([], "batch"),
    ("x", "not GraphQL"),
    ("{a", "not GraphQL"),
    ("{a}}", "not GraphQL"),
    ("{}", "not GraphQL"),
    ("{" + "a{" * 6000 + "b" + "}" * 6000 + "}", "too long"),
    ("{" + "a{" * 400 + "b" + "}" * 400 + "}", "its question"),
    ("{" + "a{" * 40 + "b" + "}" * 40 + "}", "deeply"),
    ("{a(b:" + "[" * 60 + "]" * 60 + ")}", ""),
    ("{a(b:" + "[" * 60 + "1" + "]" * 60 + ")}", "deeply"),
    ("{" + " ".join(f"a{n}" for n in range(2000)) + "}", "more fields"),
    (BOMB, "more fields"),
    ("{...F} fragment F on Query{...F}", "fragment"),
    ("{...F} fragment F on Query{...G} fragment G on Query{...F}", "fragment"),
    ("{...F}", "fragment"),
    ("{...F} fragment F on Q{a} fragment F on Q{b}", "defines"),
    ("type Query{a:Int}", "defines"),
    ("{a} type Query{a:Int}", "defines"),
    ("query A{a} query B{b}", "which"),
    ("query A{a} query A{b}", "name each"),
    ("query A{a} {b}", "name each"),
    ("fragment F on Q{a}", "name each"),
    ({"query": "query A{a}", "operationName": "B"}, "which"),
    ("{a @defer}", "directive"),
    ("query @live{a}", "directive"),
    ("query($x:I @live){a(b:$x)}", "directive"),
    ("{...F} fragment F on Query @live{a}", "directive"),
    ("{...F @live} fragment F on Query{a}", "directive"),
    ("{...@stream{a}}", "directive"),
    ("{a{x:b x:c}}", "several fields"),
    ("{a{...on X{x:email}...on Y{x:id}}}", "several fields"),
    ('{a(n:99999999999999999999)}', "not every language"),
    ('{a(s:"\\u0000")}', "end a text"),
]  # fmt: skip


@pytest.mark.parametrize(("document", "verb", "command", "fields"), FIELDS)
def test_fields_are_found_whatever_their_alias(document: str, verb: str, command: str, fields: list[str]) -> None:
    """Real names count, through fragments; words in texts and comments do not."""
    facts = ask(document)
    assert (facts.verb, facts.command, facts.details["functions"], facts.reason) == (verb, command, fields, "")
    assert facts.reads + facts.writes == ("POST /graphql",)
    assert facts.effect is (verb == "write")


@pytest.mark.parametrize(("body", "words"), [case for case in UNCLEAR if case[1]])
def test_what_could_be_read_differently_is_unknown(body: object, words: str) -> None:
    """It is refused unless policy names the unknown."""
    facts = ask(body)
    assert (facts.verb, facts.effect) == (Verb.UNKNOWN, True)
    assert words in facts.reason


def test_all_operations_count() -> None:
    """Not every server looks at the name that picks one."""
    facts = ask("query A{a} mutation B{b}", operationName="A")
    assert (facts.verb, facts.details["verbs"], facts.details["functions"]) == (
        Verb.WRITE, ["read", "write"], ["Mutation.b", "Query.a"],
    )  # fmt: skip
    assert ask("query A{a}", operationName="A").verb is Verb.READ
    assert ask("query A{a}", operationName="").verb is Verb.READ


def test_a_question_by_get() -> None:
    """It is the same object; variables are JSON."""
    facts = ask(query="?query={a(id:$x)}&variables={%22x%22:7}", method="GET", kind="")
    assert (facts.verb, facts.reads, facts.details["argument_id"]) == (Verb.READ, ("POST /graphql",), 7)
    assert ask(query="?query=mutation{a}", method="GET", kind="").verb is Verb.WRITE
    assert ask(query="/?query={a}", method="HEAD", kind="").reads == ("POST /graphql",)


@pytest.mark.parametrize(
    ("query", "body", "method", "kind"),
    [
        ("?query={a}&query=mutation{b}", None, "GET", ""),
        ("?query={a}&variables={", None, "GET", ""),
        ("?query={a};x", None, "GET", ""),
        ("?query={a}&id=1", None, "GET", ""),
        ("", None, "GET", ""),
        ("", "{a}", "GET", J),
        ("", "{a}", "PUT", J),
        ("", "{a}", "DELETE", J),
        ("?query=mutation{b}", "{a}", "POST", J),
        ("?operationName=B", "{a}", "POST", J),
        ("?extensions={}", "{a}", "POST", J),
        ("", "{a}", "POST", ""),
        ("", "{a}", "POST", "text/plain"),
        ("", b"query=%7Ba%7D", "POST", "application/x-www-form-urlencoded"),
        ("", b"\xff", "POST", "application/graphql"),
        ("", b'{"query":"{a}","query":"mutation{b}"}', "POST", J),
        ("", b'"{a}"', "POST", J),
    ],
)
def test_other_ways_to_ask_are_unknown(query: str, body: object, method: str, kind: str) -> None:
    """Servers differ in where they look for the question first."""
    assert ask(body, query=query, method=method, kind=kind).verb is Verb.UNKNOWN


def test_a_document_alone() -> None:
    """``application/graphql`` is the document itself."""
    assert ask(b"{a}", kind="application/graphql").details["functions"] == ["Query.a"]


def test_a_persisted_query_with_its_text() -> None:
    """The hash is of this very text."""
    digest = hashlib.sha256(b"{a}").hexdigest()
    assert ask("{a}", extensions={"persistedQuery": {"sha256Hash": digest}}).verb is Verb.READ


def test_arguments_are_facts() -> None:
    """Literals, variables and defaults, by the argument's name, at any depth."""
    facts = ask(
        'query($x:I=1,$y:I=2){a(id:$x,in:{Role:"b",tags:[X,null,true]}) b(id:$y) c(id:$z)}',
        variables={"y": 5, "z": {"q": "w"}},
    )
    found = {key: value for key, value in facts.details.items() if key.startswith("argument")}
    assert found == {
        "argument_id": [1, 5], "argument_in_role": "b", "argument_in_tags": ["X", None, True], "argument_id_q": "w",
    }  # fmt: skip
    assert {field.name for field in facts.filters or ()} >= {"argument.id", "argument.in_role"}


def test_aliases_lead_back_to_fields() -> None:
    """A tag on a field holds under whatever name the answer has it."""
    facts = ask("{u:users{mail:email name friends{name:email}} users{email}}")
    names = SITE.renamed(facts)
    assert names == {
        "$.data.u": "$.data.users", "$.data.u.mail": "$.data.users.email",
        "$.data.u.friends.name": "$.data.users.friends.email",
    }  # fmt: skip
    paths = [
        "$.data.u[*].mail",
        "$.data.u[*].name",
        "$.data.u[*].friends[*].name",
        "$.data.users[*].email",
        "$.errors",
        "$",
    ]
    assert [original(path, names) for path in paths] == [
        "$.data.users[*].email", "$.data.users[*].name", "$.data.users[*].friends[*].email", "$.data.users[*].email",
        "$.errors", "$",
    ]  # fmt: skip


def test_introspection_and_endless_are_said() -> None:
    """Policy can speak of them."""
    assert ask("{__schema{types{name}}}").details["introspection"] is True
    assert ask("{x:__type(name:A){name}}").details["introspection"] is True
    assert ask("{__typename}").details["introspection"] is False
    assert ask("subscription{a}").details["endless"] is True


NAMES = st.sampled_from(["a", "b", "c"])
SELECTIONS = st.recursive(
    NAMES,
    lambda inner: st.tuples(NAMES, st.lists(inner, min_size=1, max_size=3)).map(
        lambda it: f"{it[0]}{{{' '.join(it[1])}}}"
    ),
    max_leaves=6,
)


@given(st.lists(SELECTIONS, min_size=1, max_size=3))
def test_writing_it_with_fragments_or_aliases_asks_for_the_same(selections: list[str]) -> None:
    """The fields are those of the plain document, and every alias leads back to one of them."""
    plain = "{" + " ".join(selections) + "}"
    fragments = "{...F} fragment F on Query" + plain
    count = iter(range(1000))
    aliased = "".join(f"z{next(count)}:{sign}" if sign in "abc" else sign for sign in plain)
    expected = ask(plain).details["functions"]
    assert ask(fragments).details["functions"] == expected
    facts = ask(aliased)
    assert facts.details["functions"] == expected
    for answer, real in SITE.renamed(facts).items():
        assert original(answer, SITE.renamed(facts)) == real
        assert real.replace("$.data", "Query") in expected  # type: ignore[operator]
