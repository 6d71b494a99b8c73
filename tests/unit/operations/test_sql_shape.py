"""Texts of one shape: what is taken out, what is not, and that nothing gets milder by it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.operations.sql import Classifier
from tidegate.operations.sql_shape import shape

SHAPES = {
    "select a from t where id = 5": "select a from t where id = $1",
    "select a from t where id=5 and n = 'abc def';": "select a from t where id=$1 and n = $2;",
    "update t set a = a + 10 where id = -3": "update t set a = a + $1 where id = -$2",
}
NONE = [
    "select 5", "select a from t order by 1", "select a from t limit 5", "select a from t where id = 5 -- x",
    "select a from t where id = 5 /* x */", "select a from t where id = 'it''s'", "select a from t where b = E'x'",
    "select a from t where b = 'x' 'y'", "select a from t where b = '\\' or a = 5", 'select "a" from t where id = 5',
    "select $$a$$ where 1 = 5", "select a from t where id = 5::text", "select a from t where é = 5",
    "select a from t where b = 'x\n' 'y'", "select a from t where id = 1e5", "select a from t where id = 0x1",
    "select a from t where id = 1_000", "select a from t order by -1", "select a from t group by +1",
    "select a from t where id = 1.5",
]  # fmt: skip


def test_values_after_operators_become_parameters() -> None:
    """Integers and plain strings, right after an operator."""
    assert {text: shape(text) for text in SHAPES} == SHAPES


HIDDEN = [
    "select 'a-', (select max(email) from customers), ' b'", "select 'a-'; delete from orders; select ' b'",
    "select 'a=' as x union all select email from customers union all select ' b'", "select 'x*', 'y+', 5, 'z- '",
    "insert into copies values (1, 'a-'), (2, (select min(email) from customers)), (3, ' b')",
]  # fmt: skip


@pytest.mark.parametrize("text", HIDDEN)
def test_strings_are_taken_whole(classifier: Classifier, text: str) -> None:
    """An operator at the end of a string does not make what lies between two strings a value."""
    assert shape(text) is None and classifier.classify(text) == classifier._facts(text)


WORDS = st.sampled_from(
    ["select", "'a-'", "' b'", "'='", "=", "-", "*", ",", "5", "12", "email", "customers", "from", "where", "id", "(",
     ")", ";", "name", "+", "<", "''", "delete", "and", "or", "union", "order by", "limit", "as", "x", "count(*)", "%"]
)  # fmt: skip


@settings(max_examples=500)
@given(st.lists(st.tuples(WORDS, st.sampled_from(["", " ", "\n"])), max_size=14))
def test_any_words_mean_what_they_say(classifier: Classifier, words: list[tuple[str, str]]) -> None:
    """Whatever is strung together, a shape's facts are those of the text, or the text has none."""
    text = "select email from customers where id = 5 " + "".join(word + space for word, space in words)
    one, two = (
        [replace(facts, text="") for facts in found] for found in (classifier.classify(text), classifier._facts(text))
    )
    assert one == two


@pytest.mark.parametrize("text", NONE)
def test_what_could_be_read_otherwise_has_no_shape(text: str) -> None:
    """Ordinals, limits, comments, escapes, quotes of other kinds, other alphabets, other numbers."""
    found = shape(text)
    assert found is None or "$" not in found.replace("$$", "")


def test_a_text_keeps_its_own_words(classifier: Classifier) -> None:
    """Facts of a shape carry the exact text, and are recognised as those of one shape."""
    one, two = (classifier.classify(f"select name from customers where id = {n}")[0] for n in (1, 2))
    assert (one.text[-1], two.text[-1]) == ("1", "2") and one.shape is two.shape is not None


@given(
    st.sampled_from(
        [
            "select name from customers where id = {} and name = '{}'",
            "update customers set name = '{}' where id = {}",
            "delete from customers where id = {}",
            "delete from customers where {} = {}",
            "select count(*) from customers where id > {} group by name having count(*) = {}",
            "set statement_timeout = {}",
            "select set_config('statement_timeout', '5', false) where 1 = {}",
        ]
    ),
    st.integers(0, 9),
    st.integers(0, 9),
)
def test_a_shape_says_what_the_text_says(classifier: Classifier, text: str, one: int, two: int) -> None:
    """A fresh classifier that knows no shape comes to the same facts."""
    written = text.format(one, two)
    assert classifier.classify(written) == classifier._facts(written)


def test_a_statement_without_a_bound_stays_one(classifier: Classifier) -> None:
    """Comparing constants bounds nothing, whatever they are."""
    for text in ("delete from customers where 1 = 1", "delete from customers where 1 = 2"):
        assert classifier.classify(text)[0].details["unbounded"] is True
