"""One spelling of a path, and the templates it is an instance of."""

from __future__ import annotations

import posixpath
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.operations.http_paths import Ambiguous, Templates, automatic, glob, normalised
from unit.operations import http_corpus as corpus

TARGETS = st.text(alphabet="/ab.%25eE2fF5cC;\\?0+~-_", max_size=24).map(lambda text: "/" + text)
WORDS = st.sampled_from(["a", "b", "users", "{x}", "{y}", "v{z}"])
TEMPLATES = st.lists(WORDS, min_size=1, max_size=3).map(lambda words: "/" + "/".join(words))


@pytest.mark.parametrize(("target", "spelt"), corpus.PATHS)
def test_corpus(target: str, spelt: str | None) -> None:
    """Each target has the spelling that is listed, or none."""
    assert normalised(target) == spelt


@given(TARGETS)
def test_a_spelling_is_its_own(target: str) -> None:
    """What is normalised once is normalised for good: the upstream reads what was judged."""
    spelt = normalised(target)
    assert spelt is None or normalised(spelt) == spelt


@given(TARGETS)
def test_every_reader_finds_the_same_segments(target: str) -> None:
    """Decoding once, twice, or tidying dots and slashes before or after makes no other path."""
    spelt = normalised(target)
    if spelt is None:
        return
    path = spelt.partition("?")[0]
    once = unquote(path, errors="strict")
    assert once.count("/") == path.count("/")
    assert unquote(once) == once
    assert posixpath.normpath(once) == (once.rstrip("/") or "/")
    assert "\\" not in once and ";" not in once


@given(st.text(max_size=12))
def test_any_text_can_be_a_segment_or_is_refused(text: str) -> None:
    """What is accepted says the same text as was sent."""
    sent = "/x/" + "".join(f"%{byte:02x}" for byte in text.encode(errors="replace"))
    spelt = normalised(sent)
    if text and spelt is not None and not text.endswith("/"):
        assert unquote(spelt[3:]) == text.encode(errors="replace").decode()


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/", "/"),
        ("/users/7", "/users/{id}"),
        ("/users/7/x/a0", "/users/{id}/x/a0"),
        ("/users/%2B7", "/users/{id}"),
        ("/users/+7", "/users/{id}"),
        ("/users/-7", "/users/{id}"),
        ("/users/7.0", "/users/{id}"),
        ("/users/7.json", "/users/{id}"),
        ("/users/0x7", "/users/{id}"),
        ("/users/%207", "/users/{id}"),
        ("/users/%D9%A7", "/users/{id}"),
        ("/users/%EF%BC%97", "/users/{id}"),
        ("/users/%7B123e4567-e89b-12d3-a456-426614174000%7D", "/users/{id}"),
        ("/users/urn:uuid:123e4567-e89b-12d3-a456-426614174000", "/users/{id}"),
        ("/users/URN:x", "/users/{id}"),
        ("/gr%C3%B6%C3%9Fe/@me/_all/.well-known", "/gr%C3%B6%C3%9Fe/@me/_all/.well-known"),
        ("/users/123e4567-e89b-12d3-a456-426614174000", "/users/{id}"),
        ("/c/da39a3ee5e6b4b0d3255bfef95601890afd80709", "/c/{id}"),
        ("/c/deadbeefdeadbeef", "/c/deadbeefdeadbeef"),
        ("/v1/users", "/v1/users"),
        ("/2024-01-01", "/{id}"),
    ],
)
def test_a_path_without_a_template_makes_one(path: str, template: str) -> None:
    """However a server may read a number, it is an identifier; what begins as a name does is a name."""
    assert automatic(path)[0] == template


def test_the_literal_counts_before_the_parameter() -> None:
    """At each place, from whole words over parts of words to parameters."""
    templates: Templates[int] = Templates()
    for number, template in enumerate(["/users/{id}", "/users/me", "/users/{id}.json", "/{any}/me"]):
        templates.add(template, number)
    found = {path: templates.find(path) for path in ("/users/me", "/users/7", "/users/7.json", "/x/me", "/x/y")}
    assert {path: match and match.value for path, match in found.items()} == {
        "/users/me": 1, "/users/7": 0, "/users/7.json": 2, "/x/me": 3, "/x/y": None,
    }  # fmt: skip


def test_taking_a_segment_apart_takes_no_time() -> None:
    """A long segment is not tried in all ways: nobody can say."""
    templates: Templates[int] = Templates()
    templates.add("/{a}-{b}-{c}.csv", 1)
    with pytest.raises(Ambiguous):
        templates.find("/" + "-" * 8000)
    match = templates.find("/1-2-3.csv")
    assert match is not None
    assert match.parameters == (("a", "1"), ("b", "2"), ("c", "3"))


def test_templates_know_encoded_words() -> None:
    """A template in any language fits the one spelling of its paths."""
    templates: Templates[int] = Templates()
    templates.add("/größe/{id}", 1)
    match = templates.find(str(normalised("/gr%c3%b6%c3%9fe/x%20y")))
    assert match is not None
    assert match.parameters == (("id", "x y"),)


@given(st.sets(TEMPLATES, max_size=8), TEMPLATES)
def test_the_best_is_unique(written: set[str], path: str) -> None:
    """Whatever the templates and their order: none, one that is literal wherever another is, or nobody knows."""
    path = path.replace("{", "").replace("}", "")
    outcomes = set()
    for order in (sorted(written), sorted(written, reverse=True)):
        templates: Templates[str] = Templates()
        for template in order:
            try:
                templates.add(template, template)
            except ValueError:
                continue
        try:
            match = templates.find(path)
        except Ambiguous:
            outcomes.add("ambiguous")
            continue
        outcomes.add(None if match is None else match.literal)
    assert len(outcomes) == 1


def test_a_pattern_is_whole() -> None:
    """A star is any run of characters, everything else is itself, and no pattern fits nothing."""
    assert glob(["GET /a*"]).fullmatch("GET /a/b/c")
    assert not glob(["GET /a"]).fullmatch("GET /a/b")
    assert not glob(["GET /a.c"]).fullmatch("GET /abc")
    assert not glob([]).fullmatch("")
