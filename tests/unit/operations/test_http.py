"""What a request does, over a corpus of requests and evasions, and the laws that hold for any."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import AgentError, ConfigError
from tidegate.masking.transforms import MARKER
from tidegate.model.operation import Facts, Verb
from tidegate.model.resource import Field
from tidegate.operations.http import Head, Site, head, site
from tidegate.operations.http_values import MASK
from unit.operations import http_corpus as corpus

SITE = site(corpus.OPTIONS)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def ask(line: str, fields: dict[str, str] | None = None, body: bytes | None = b"", at: Site = SITE) -> Facts:
    """The facts of a request: its line without the version, its fields and its body."""
    method, _, target = line.partition(" ")
    return at.classify(head(method, target, list((fields or {}).items())), body)


@pytest.mark.parametrize(("line", "fields", "body", "does", "details", "reason"), corpus.REQUESTS)
def test_corpus(
    line: str, fields: dict[str, str], body: bytes, does: str, details: dict[str, object], reason: str
) -> None:
    """Verb, object, effect, facts and reason are as listed."""
    facts = ask(line, fields, body)
    harmless = does.startswith("!")
    verb, object = does.lstrip("!").split(" ", 1)
    assert (facts.verb, facts.effect) == (verb, not harmless), facts
    assert facts.reads + facts.writes == (object,)
    assert facts.reads == ((object,) if verb == "read" else ())
    assert {key: facts.details.get(key) for key in details} == details
    assert reason in facts.reason
    assert bool(facts.reason) == (verb == "unknown")
    orjson.dumps(facts.details)


def test_the_corpus_is_large() -> None:
    """It has at least 150 requests and targets."""
    assert len(corpus.REQUESTS) + len(corpus.PATHS) >= 150


@pytest.mark.parametrize("target", [target for target, spelt in corpus.PATHS if spelt is None])
def test_a_target_with_several_readings_makes_no_head(target: str) -> None:
    """It is the agent's fault, and the hint says what to send."""
    with pytest.raises(AgentError) as caught:
        head("GET", target)
    assert caught.value.code == "http.path"
    assert caught.value.hint


def test_the_template_is_the_object() -> None:
    """Fields of an answer are tagged under the object that policy sees; HEAD shares it with GET."""
    for line in ("GET /users/7", "HEAD /users/7", "DELETE /users/7", "GET /graphql?query={a}"):
        facts = ask(line)
        method, _, target = line.partition(" ")
        assert (SITE.template(head(method, target)),) == facts.reads + facts.writes


def test_credentials_and_hops_are_no_part_of_a_head() -> None:
    """No credential becomes a fact, and nothing that is for one connection."""
    fields = [("Authorization", "x"), ("COOKIE", "x"), ("Proxy-Authorization", "x"), ("Connection", "x"), ("A", "b")]
    assert head("GET", "/", fields).headers == (("a", "b"),)


def test_a_filter_can_be_tagged() -> None:
    """A query's parameter is a field of the object, so that a tagged one cannot be searched by."""
    assert ask("GET /users?email=x").filters == {Field("GET /users", "query.email")}


def test_equal_requests_have_the_very_facts() -> None:
    """Policy remembers a judgement by the facts it was made from."""
    assert ask("GET /users/7", {"user-agent": "a"}) is ask("GET /users/7", {"user-agent": "b"})
    assert ask("GET /users/7", {"x-tenant": "a"}) is not ask("GET /users/7", {"x-tenant": "b"})
    assert ask("POST /a", corpus.J, b"{}") is not ask("POST /a", corpus.J, b"[]")


def test_what_is_remembered_has_an_end() -> None:
    """An agent cannot fill the memory with requests of its own making."""
    at = site({})
    for number in range(5000):
        ask(f"GET /a/b{number}", at=at)
    assert len(at._kept) <= 1024
    assert len(at._places._kept) <= 4096
    for number in range(100):
        ask(f"GET /{'a' * 4000}{number}", at=at)
        ask(f"GET /b?{'a' * 4000}{number}", at=at)
    assert not any(len(str(part)) > 3000 for kept in (*at._kept, *at._places._kept) for part in kept)


@pytest.mark.parametrize(
    ("line", "fields", "wants"),
    [
        ("POST /a", corpus.J, True),
        ("POST /a", corpus.F, True),
        ("POST /a", {}, False),
        ("POST /a", {"content-type": "image/png"}, False),
        ("POST /a", {"content-type": "rubbish"}, False),
        ("PUT /files/x", corpus.J, False),
        ("POST /graphql", {}, True),
    ],
)
def test_a_body_is_wanted_where_the_verdict_depends_on_it(line: str, fields: dict[str, str], wants: bool) -> None:
    """What is understood must be whole; what belongs there without being understood may stream."""
    method, _, target = line.partition(" ")
    assert SITE.wants_body(head(method, target, list(fields.items()))) is wants


@pytest.mark.parametrize("fields", [{}, corpus.J, {"content-type": "image/png"}])
def test_a_body_that_is_not_at_hand_is_unknown(fields: dict[str, str]) -> None:
    """Unless it belongs there without being understood."""
    assert ask("POST /a", fields, None).verb is Verb.UNKNOWN
    facts = ask("PUT /files/x", fields, None)
    assert (facts.verb, facts.details["opaque"]) == (Verb.WRITE, True)
    assert ask("POST /graphql", fields, None).verb is Verb.UNKNOWN


def test_overriding_a_method_needs_both() -> None:
    """Where a resource allows it, verbs, commands and objects of both methods count."""
    at = site({"override": True, "safe": "GET"})
    facts = ask("POST /users/7", {"X-HTTP-Method-Override": "delete"}, at=at)
    assert (facts.verb, facts.writes) == (Verb.WRITE, ("POST /users/{id}", "DELETE /users/{id}"))
    assert facts.details["commands"] == ["delete", "post"]
    facts = ask("GET /users?_method=DELETE", at=at)
    assert (facts.verb, facts.effect, facts.details["verbs"]) == (Verb.WRITE, True, ["read", "write"])
    assert facts.details["unbounded"] is True
    assert ask("POST /users?_method=BREW", at=at).verb is Verb.UNKNOWN


def test_nothing_stands_in_for_what_is_safe() -> None:
    """Neither another method nor a body that nobody understands is as harmless as what the options speak of."""
    at = site({"override": True, "safe": ["POST /search"], "opaque": ["POST /search"]})
    assert ask("POST /search", corpus.J, b"{}", at=at).effect is False
    assert ask("POST /search?_method=DELETE", corpus.J, b"{}", at=at).verb is Verb.WRITE
    assert ask("POST /search", {"content-type": "text/plain"}, b"{}", at=at).verb is Verb.WRITE


def test_a_body_has_one_kind() -> None:
    """Of two Content-Type fields each reader could take another."""
    asked = head("POST", "/a", [("Content-Type", "application/json"), ("Content-Type", "text/plain")])
    assert SITE.classify(asked, b"{}").verb is Verb.UNKNOWN
    assert not SITE.wants_body(asked)


def test_safe_for_all_of_get() -> None:
    """``safe: GET`` takes every GET and HEAD for harmless, and nothing else."""
    at = site({"safe": "GET"})
    assert [ask(f"{method} /a", at=at).effect for method in ("GET", "HEAD", "OPTIONS", "POST")] == [
        False,
        False,
        True,
        True,
    ]


def test_letters_case_must_be_said() -> None:
    """Some servers take /Users for /users: a tag or a rule for one must not be dodged by the other."""
    options: dict[str, object] = {"paths": ["/Users/{id}"], "graphql": ["/GraphQL"]}
    free, exact, unsaid = (site({**options, **more}) for more in ({"any_case": True}, {"any_case": False}, {}))
    assert ask("GET /USERS/Bob", at=free).reads == ("GET /Users/{id}",)
    assert ask("GET /USERS/Bob", at=free).details["param_id"] == "Bob"
    assert ask("GET /Other", at=free).reads == ("GET /other",)
    assert ask("GET /graphql?query={a}", at=free).command == "query"
    assert ask("GET /Other", at=exact).reads == ("GET /Other",)
    assert ask("GET /graphql?query={a}", at=exact).command == "get"
    for line in ("GET /Other", "GET /USERS/Bob", "GET /%C3%9C", "GET /graphQL?query={a}"):
        assert "capital letters" in ask(line, at=unsaid).reason
    assert ask("GET /Users/Bob", at=unsaid).verb is Verb.READ


def test_an_ending_makes_no_other_object() -> None:
    """Some servers take /users.json for /users: rules and tags of either count, unless a list says what it is."""
    facts = ask("GET /customers.json")
    assert facts.reads == ("GET /customers", "GET /customers.json")
    assert SITE.template(head("GET", "/customers.json")) == "GET /customers"
    assert ask("GET /a/archive.tar.gz").reads == ("GET /a/archive", "GET /a/archive.tar.gz")
    assert ask("DELETE /customers.xml").details["unbounded"] is True
    assert ask("GET /x.csv", at=site({"paths": ["/x.csv"]})).reads == ("GET /x.csv",)


def test_templates_that_fit_equally_well_are_unknown() -> None:
    """Nobody can say which of them a server takes."""
    at = site({"paths": ["/a/{x}/c", "/a/b/{y}"]})
    assert "equally well" in ask("GET /a/b/c", at=at).reason
    assert ask("GET /a/b/d", at=at).reads == ("GET /a/b/{y}",)


@pytest.mark.parametrize(
    "masked",
    [
        ("PUT /users/%5Bmasked:email%20ab%5D", {}, b""),
        ("PUT /users/7?a=%5Bmasked:email%20ab%5D", {}, b""),
        ("PUT /users/7", corpus.F, b"email=%5Bmasked%3Aemail+ab%5D"),
        ("PUT /users/7", corpus.J, b'{"email":"\\u005bmasked:email ab]"}'),
        ("PUT /users/7", corpus.J, b'{"\\u005bmasked:email ab]":1}'),
        ("POST /graphql", corpus.J, b'{"query":"mutation{a(b:\\"\\\\u005bmasked:id]\\")}"}'),
        ("POST /graphql", corpus.J, b'{"query":"mutation($b:ID){a(b:$b)}","variables":{"b":"[mas\\u006bed:id]"}}'),
    ],
)
def test_a_mask_is_seen_through_any_encoding(masked: tuple[str, dict[str, str], bytes]) -> None:
    """It stands in the text, where masking looks for it."""
    assert MASK == MARKER
    assert MARKER in ask(*masked).text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"safe": "POST"}, "`safe`"),
        ({"safe": ["DELETE /a"]}, "`safe`"),
        ({"safe": True}, "`safe`"),
        ({"opaque": ["/files"]}, "`opaque`"),
        ({"graphql": "/graphql"}, "`graphql`"),
        ({"graphql": ["/a/../b"]}, "`graphql`"),
        ({"graphql": ["/a/"]}, "`graphql`"),
        ({"paths": ["users"]}, "`paths`"),
        ({"paths": ["/users/{a}", "/users/{b}"]}, "fits the same paths"),
        ({"paths": ["/users/{a"]}, "no segment"),
        ({"paths": ["/users?x"]}, "no path"),
        ({"headers": ["Authorization"]}, "`headers`"),
        ({"headers": ["a b"]}, "`headers`"),
        ({"override": "yes"}, "`override`"),
        ({"any_case": 1}, "`any_case`"),
        ({"openapi": 1}, "`openapi`"),
        ({"openapi": "nowhere.yaml"}, "cannot be read"),
    ],
)
def test_options_are_checked(options: dict[str, object], words: str) -> None:
    """Each complaint names its key."""
    with pytest.raises(ConfigError) as caught:
        site(options)
    assert words in caught.value.message


def test_the_digest_is_of_the_options() -> None:
    """It is another when requests are understood otherwise, and only then."""
    assert site({"safe": "GET"}).digest == site({"safe": "GET", "websocket": True}).digest
    assert site({"safe": "GET"}).digest != site({}).digest


def test_a_request_as_people_write_it() -> None:
    """Policy can be asked about a line of text; what no target has is encoded first."""
    (facts,) = SITE.read('POST /größe?q=ü\n{"a": 1}')
    assert (facts.verb, facts.details["path"], facts.details["body_a"]) == ("write", "/gr%C3%B6%C3%9Fe", 1)
    (facts,) = SITE.read("POST /graphql\n{ user { email } }")
    assert facts.details["functions"] == ["Query.user", "Query.user.email"]
    assert SITE.read("GET /../x") == ()
    assert SITE.read("") == ()


# laws


@given(st.sampled_from(corpus.REQUESTS))
def test_the_text_says_the_whole_target(case: tuple[str, dict[str, str], bytes, str, dict[str, object], str]) -> None:
    """What people read has one meaning: read again it is the same request."""
    facts = ask(case[0], case[1])
    (again,) = SITE.read(facts.text.partition("\n")[0])
    assert (again.text, again.details["path"]) == (facts.text, facts.details["path"])
    assert {key: value for key, value in again.details.items() if key.startswith("query")} == {
        key: value for key, value in facts.details.items() if key.startswith("query")
    }


@given(JSON_VALUES)
def test_every_scalar_of_a_document_is_a_fact(value: object) -> None:
    """Nothing of a body that is understood is hidden from policy."""
    facts = ask("POST /a", corpus.J, json.dumps(value).encode())
    if facts.verb is not Verb.UNKNOWN:
        lists = [found if isinstance(found, list) else [found] for found in facts.details.values()]
        given = {json.dumps(each) for found in lists for each in found}
        assert {json.dumps(each) for each in scalars(value)} <= given


def scalars(value: object) -> list[object]:
    """All scalars of a document."""
    if isinstance(value, dict):
        return [each for member in value.values() for each in scalars(member)]
    return [each for item in value for each in scalars(item)] if isinstance(value, list) else [value]


@given(
    st.sampled_from(("GET", "POST", "DELETE", "x")),
    st.text(alphabet="/a%2ef.;\\?&=_7{}[]é\0", max_size=20),
    st.dictionaries(st.sampled_from(("content-type", "content-encoding", "accept")), st.text(max_size=12), max_size=2),
    st.none() | st.binary(max_size=40),
)
def test_garbage_is_an_error_or_unknown_or_understood(
    method: str, target: str, fields: dict[str, str], body: bytes | None
) -> None:
    """Whatever comes, there is an answer, and its facts are JSON."""
    try:
        asked = head(method, "/" + target, list(fields.items()))
    except AgentError:
        return
    facts = SITE.classify(asked, body)
    orjson.dumps(facts.details)
    assert facts.verb is not Verb.READ or facts.effect is False or method in ("GET", "HEAD", "OPTIONS")
    assert isinstance(asked, Head)
