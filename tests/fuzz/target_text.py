"""Statement text to facts: never an exception, never a hang, and what was read before changes nothing.

Input: a text. A read is a read only if proven so, hence the facts are held against each other, and those of a
classifier that has seen every earlier text against those of one that has seen none.
"""

from __future__ import annotations

import json

from tidegate.model.operation import Verb
from tidegate.operations.catalog import QUERIES, Catalog
from tidegate.operations.sql import Classifier
from tidegate.operations.sql_shape import shape

ROWS = {name: list[list[str | None]]() for name in QUERIES} | {
    "path": [["pg_catalog"], ["public"]],
    "relations": [
        ["1", "public", "customers", "r", "f", "f"],
        ["2", "public", "orders", "r", "t", "f"],
        ["3", "public", "contacts", "v", "f", "f"],
    ],
    "attributes": [["1", "1", "id"], ["1", "2", "email"], ["2", "1", "id"], ["2", "2", "customer"], ["3", "1", "mail"]],
    "views": [["3", "SELECT email AS mail FROM public.customers"]],
    "functions": [["public", "spy"]],
}
CATALOG = Catalog.build(ROWS)
SEASONED = Classifier(CATALOG)
HARMLESS = {"read", "session"}


def target(data: bytes) -> None:
    """One text."""
    text = data.decode("utf-8", "surrogateescape")
    found = Classifier(CATALOG).classify(text)
    for facts in found:
        verbs = facts.details["verbs"]
        assert isinstance(verbs, list) and (facts.verb in verbs or facts.verb is Verb.UNKNOWN)
        assert facts.effect or set(verbs) <= HARMLESS, "what is no read is said to change nothing"
        assert facts.effect or not facts.writes, "what writes is said to change nothing"
        assert facts.verb is not Verb.UNKNOWN or facts.effect, "the unknown is said to change nothing"
        json.dumps(facts.details)
    assert SEASONED.classify(text) == found, "the same text has other facts after others"
    if shape(text) is not None and found:
        assert len(found) == 1 or all(facts.details["multi"] for facts in found), "one of several says it is alone"
