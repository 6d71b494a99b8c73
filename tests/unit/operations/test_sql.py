"""The classifier on a corpus of statements, evasions and garbage."""

from __future__ import annotations

import subprocess

import asyncpg.introspection
import pgparse
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from servers import Postgres
from tidegate.model.operation import Facts, Verb
from tidegate.operations.catalog import Catalog
from tidegate.operations.sql import Classifier
from unit.operations import corpus

DEEP = ["SELECT " + "(" * 20_000 + "1" + ")" * 20_000, "SELECT " + "NOT " * 20_000 + "true",
        "SELECT 1" + " UNION SELECT 1" * 20_000, "SELECT 1" + " + 1" * 5_000]  # fmt: skip
PSQL = r"""\d|\d customers|\d+ customers|\d contacts|\d orders|\d parted|\dt+|\dv|\dm|\ds|\di|\dn+|\l|\du|\df|\dT|\do =
|\dp|\dx|\dC|\dD|\db|\dd""".replace("\n", "").split("|")
SOUP = [  # words and signs
    *["SELECT", "FROM", "WHERE", "DELETE", "WITH", "AS", "customers", "email", "'x'", "$1", "::"],
    *["(", ")", "*", ",", "=", "1", ";", "x", ".", "[", "]", "€"],
    "\x01",
]


def one(classifier: Classifier, text: str) -> Facts:
    """The facts of a text of one statement."""
    (facts,) = classifier.classify(text)
    return facts


@pytest.mark.parametrize(("text", "verb", "commands", "effect", "unbounded"), corpus.CORPUS)
def test_corpus(classifier: Classifier, text: str, verb: str, commands: str, effect: int, unbounded: int) -> None:
    """Verb, commands, effect and boundedness are as listed, and the own command is among the commands."""
    facts = one(classifier, text)
    assert (facts.verb, facts.effect, facts.details["unbounded"]) == (verb, bool(effect), bool(unbounded)), facts
    assert set(commands.split(",")) <= set(facts.details["commands"])
    assert facts.command in facts.details["commands"]


@pytest.mark.parametrize("text", [case[0] for case in corpus.CORPUS])
def test_an_independent_parser_sees_as_many_statements(classifier: Classifier, text: str) -> None:
    """pgparse, another build of the grammar, agrees on how many statements there are."""
    assert len(pgparse.parse(text)) == len(classifier.classify(text))


@pytest.mark.parametrize(
    ("text", "verbs"),
    [
        ("SELECT 1; DROP TABLE users", ["read", "define"]),
        ("SELECT 1;;; -- x\n/* a /* b */ c */ TRUNCATE users", ["read", "define"]),
        ("SELECT '\\'; DROP TABLE users; --'", ["read", "define"]),
        ("BEGIN; DELETE FROM a; COMMIT", ["session", "write", "session"]),
        ("", []),
        (" ; -- nothing", []),
    ],
)
def test_several_statements_are_told_apart(classifier: Classifier, text: str, verbs: list[str]) -> None:
    """Each statement of a text has its own facts, and each knows that it is not alone."""
    found = classifier.classify(text)
    assert [facts.verb for facts in found] == verbs
    assert all(facts.details["multi"] == (len(verbs) > 1) for facts in found)


@pytest.mark.parametrize("text", corpus.SECRETS)
def test_secrets_are_seen(classifier: Classifier, text: str) -> None:
    """Reading the server's own secrets is marked, through views, bodies and functions."""
    assert one(classifier, text).details["secrets"] is True


def test_harmless_catalogs_are_no_secret(classifier: Classifier) -> None:
    """pg_roles hides the passwords, so listing roles is no secret."""
    assert one(classifier, "SELECT rolname FROM pg_roles").details["secrets"] is False


@pytest.mark.parametrize("text", ["SELEC 1", "SELECT 'a\0b'", "SELECT 'a\udc00'", "\ufeff\ufeffSELECT", *DEEP])
def test_what_is_not_understood_is_unknown(classifier: Classifier, text: str) -> None:
    """Syntax errors, NUL, lone surrogates and endless nesting give UNKNOWN, never an exception."""
    facts = one(classifier, text)
    assert (facts.verb, facts.command, facts.effect) == (Verb.UNKNOWN, "unparsed", True)
    assert facts.outputs is None and facts.filters is None and facts.flows is None


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(SOUP), max_size=12).map(" ".join))
def test_token_soup_never_raises(classifier: Classifier, text: str) -> None:
    """Whatever arrives, there are facts, and an unproven one has an effect."""
    assert all(facts.effect or facts.verb in (Verb.READ, Verb.SESSION) for facts in classifier.classify(text))


def test_nested_recursion_does_not_take_for_ever(classifier: Classifier) -> None:
    """Queries that multiply with each level of nesting are given up as too complex."""
    text = "SELECT 1"
    for _ in range(14):
        text = f"WITH RECURSIVE r(a) AS ({text} UNION SELECT a FROM r) SELECT a FROM r"
    assert one(classifier, text).reason == "the statement is too complex"


def test_a_text_over_the_limit_is_not_looked_into(catalog: Catalog) -> None:
    """Longer than the limit means UNKNOWN."""
    assert one(Classifier(catalog, limit=10), "SELECT 1 + 1").command == "unparsed"


def test_the_same_text_gives_the_same_facts_object(classifier: Classifier) -> None:
    """Facts are remembered by exact text."""
    assert classifier.classify("SELECT 4711") is classifier.classify("SELECT 4711")


def test_an_error_quotes_nothing_of_the_statement(classifier: Classifier) -> None:
    """The reason of an unparsed statement holds no part of it."""
    assert "hunter2" not in one(classifier, "ALTER ROLE x PASSWORDD 'hunter2'").reason


def queries(server: Postgres, commands: list[str]) -> list[str]:
    """What psql itself sends for its commands."""
    done = subprocess.run(
        [server.tools / "psql", "-XE", "-d", server.dsn("lineage")],
        input="\n".join(commands), capture_output=True, text=True, check=True,
    )  # fmt: skip
    parts = done.stdout.split("QUERY **")[1:]
    texts = [part.split("\n", 1)[1].rsplit("\n", 1)[0] for part in parts]
    return [text.split("\n/****")[0].split("\n****")[0] for text in texts]


def test_psql_listings_are_proven_reads(classifier: Classifier, database: object, postgres: Postgres) -> None:
    r"""Every query behind psql's \d and its like is a read that is proven to have no effect."""
    sent = queries(postgres, PSQL)
    found = [facts for text in sent for facts in classifier.classify(text)]
    assert len(found) > 40
    assert [(facts.reason, facts.details.get("unresolved"), facts.text) for facts in found if facts.effect] == []


@pytest.mark.parametrize("name", ["INTRO_LOOKUP_TYPES", "INTRO_LOOKUP_TYPES_13"])
def test_driver_introspection_is_a_proven_read(classifier: Classifier, name: str) -> None:
    """asyncpg's look-up of types is a proven read."""
    text = getattr(asyncpg.introspection, name, asyncpg.introspection.INTRO_LOOKUP_TYPES)
    facts = one(classifier, text)
    assert (facts.verb, facts.effect) == (Verb.READ, False), facts.reason


def test_psycopg_type_look_up_is_a_proven_read(classifier: Classifier) -> None:
    """psycopg's TypeInfo.fetch is a proven read."""
    text = (
        "SELECT typname AS name, oid, typarray AS array_oid, oid::regtype::text AS regtype, typdelim AS delimiter"
        " FROM pg_type t WHERE t.oid = to_regtype($1) ORDER BY t.oid"
    )
    assert not one(classifier, text).effect


def test_a_proven_read_changes_nothing_on_a_read_only_server(
    classifier: Classifier, database: psycopg.Connection
) -> None:
    """No corpus statement said to have no effect is refused by a read-only transaction."""
    harmless = [case[0] for case in corpus.CORPUS if not case[3] and case[1] == "read" and "$1" not in case[0]]
    for text in harmless:
        with database.transaction(force_rollback=True):
            database.execute("SET TRANSACTION READ ONLY")
            try:
                with database.transaction():
                    database.execute(text) if not text.startswith("COPY") else None
            except psycopg.errors.ReadOnlySqlTransaction:
                pytest.fail(text)
            except psycopg.Error:
                continue


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("SET application_name = 'x'", "value", "x"),
        ("SET ROLE bob", "setting", "role"),
        ("BEGIN READ WRITE", "read_write", True),
        ("BEGIN READ ONLY", "read_write", False),
        ("SAVEPOINT a", "transaction", "savepoint"),
        ("FETCH c", "cursor", "c"),
        ("EXECUTE p", "prepared", "p"),
        ("EXPLAIN ANALYZE SELECT 1", "explain", True),
        ("SELECT lower('a'), pg_catalog.abs(1)", "functions", ["lower", "pg_catalog.abs"]),
        ("INSERT INTO copies VALUES (1)", "reactive", True),
        ("SELECT * FROM missing", "unresolved", ["missing"]),
        ("CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'DELETE FROM customers'", "contains", ["delete"]),
    ],
)
def test_details(classifier: Classifier, text: str, key: str, value: object) -> None:
    """Policy finds the facts it may ask for."""
    assert one(classifier, text).details[key] == value


@pytest.mark.parametrize(
    ("text", "reads", "writes"),
    [
        ("SELECT * FROM nested", {"public.nested", "public.contacts", "public.customers", "public.orders"}, set()),
        ("SELECT 1 FROM pg_class", {"pg_catalog.pg_class"}, set()),
        ("INSERT INTO copies SELECT id FROM customers", {"public.customers"}, {"public.copies"}),
        ("UPDATE contacts SET who = 1 WHERE who = 2", set(), {"public.contacts", "public.customers"}),
        ("DROP TABLE copies, elsewhere.t", set(), {"public.copies", "elsewhere.t"}),
        ("WITH c AS (SELECT 1) SELECT * FROM c", set(), set()),
    ],
)
def test_objects(classifier: Classifier, text: str, reads: set[str], writes: set[str]) -> None:
    """Objects are named with their schema, through views, and a WITH query is none."""
    facts = one(classifier, text)
    assert (set(facts.reads), set(facts.writes)) == (reads, writes)


def test_copy_out_is_bulk(classifier: Classifier) -> None:
    """COPY TO STDOUT is marked, since its rows cannot be masked."""
    assert one(classifier, "COPY customers TO STDOUT").bulk
    assert not one(classifier, "SELECT 1").bulk


@pytest.mark.parametrize(
    "text",
    [
        "select " + ", ".join(["x"] * 1500) + " from " + ", ".join(["t"] * 1500),
        "select " + ", ".join(f"f{n}()" for n in range(2000)),
        "insert into copies values " + ", ".join(["(1, 'x')"] * 80_000),
    ],
    ids=["names by tables", "columns", "values"],
)
def test_work_on_one_statement_is_limited(classifier: Classifier, text: str) -> None:
    """What would keep the gateway busy is unknown, hence refused."""
    (facts,) = classifier.classify(text)
    assert facts.verb is Verb.UNKNOWN


@pytest.mark.parametrize("value", ["0", "'0ms'", "'1us'", "'0.0001s'", "default", "2147483647", "'100h'"])
def test_a_time_out_cannot_be_switched_off(classifier: Classifier, value: str) -> None:
    """Every way to write no time-out, or one of weeks, is administration or gives the gateway's own back."""
    (facts,) = classifier.classify(f"set statement_timeout = {value}")
    assert facts.verb is Verb.ADMINISTER or value == "default"


@pytest.mark.parametrize(
    "text",
    ["update pg_settings set setting = 'x' where name = 'search_path'", "delete from pg_catalog.pg_class"],
)
def test_writing_to_a_catalog_is_administration(classifier: Classifier, text: str) -> None:
    """A catalog's rows are settings, roles and definitions."""
    assert classifier.classify(text)[0].verb is Verb.ADMINISTER


def test_set_config_names_its_setting(classifier: Classifier) -> None:
    """A policy sees what a call sets, and beside unproven code that there may be more."""
    plain, beside = (
        classifier.classify(f"SELECT set_config('search_path', '', false){more}")[0] for more in ("", ", spy(1)")
    )
    assert plain.details["setting"] == ["search_path"] and plain.verb == "administer"
    assert beside.details["setting"] == ["*", "search_path"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SELECT pg_catalog.set_config('search_path', '', false)", False),
        ("SET row_security = off", False),
        ("RESET search_path", False),
        ("SELECT set_config('search_path', '', false), spy(1)", True),
        ("REINDEX TABLE customers", True),
    ],
)
def test_a_setting_runs_no_code(classifier: Classifier, text: str, code: bool) -> None:
    """Where users have defined functions, administration may run them; setting something does not (a dump does it)."""
    assert bool(one(classifier, text).details.get("code")) == code


def test_the_weakest_lock_is_a_read(classifier: Classifier) -> None:
    """LOCK TABLE IN ACCESS SHARE MODE reads what it names, and a name that is not known stays unresolved."""
    known, strange = (
        classifier.classify(f"LOCK TABLE {name} IN ACCESS SHARE MODE")[0] for name in ("customers", "nothing")
    )
    assert known.reads == ("public.customers",) and not known.writes and not known.effect
    assert strange.details["unresolved"] == ["nothing"] and strange.effect


@pytest.mark.parametrize(
    ("text", "secret"),
    [("SELECT count(*) FROM pg_subscription WHERE subdbid = 1", False),
     ("SELECT subname FROM pg_subscription", False),
     ("SELECT subconninfo FROM pg_subscription", True),
     ("SELECT * FROM pg_subscription", True),
     ("TABLE pg_subscription", True),
     ("SELECT s::text FROM pg_subscription s", True),
     ("SELECT 1 FROM pg_subscription WHERE subconninfo LIKE '%x%'", True),
     ("SELECT lower(subconninfo) AS name FROM pg_subscription", True),
     ("SELECT spy(1) FROM pg_subscription", True),
     ("CREATE TABLE t AS SELECT subconninfo FROM pg_subscription", True),
     ("COPY pg_subscription TO STDOUT", True)],
)  # fmt: skip
def test_one_field_of_a_catalog_may_be_the_secret(classifier: Classifier, text: str, secret: bool) -> None:
    """Subscriptions may be counted and named; their connection strings are secrets, wherever they flow."""
    assert classifier.classify(text)[0].details["secrets"] is secret


@pytest.mark.parametrize(
    ("text", "writes", "unresolved"),
    [("SELECT nextval('numbers')", ("public.numbers",), None),
     ("SELECT nextval('public.numbers'::regclass)", ("public.numbers",), None),
     ("SELECT nextval('nothing')", (), ["sequence of nextval"]),
     ("SELECT setval(pg_get_serial_sequence('orders', 'id'), 1)", (), ["sequence of setval"]),
     ("SELECT nextval($1)", (), ["sequence of nextval"])],
)  # fmt: skip
def test_a_sequence_is_written(classifier: Classifier, text: str, writes: tuple[str, ...], unresolved: object) -> None:
    """A constant names the sequence that is advanced; anything else may name any."""
    facts = classifier.classify(text)[0]
    assert (facts.writes, facts.details.get("unresolved"), facts.effect) == (writes, unresolved, True)
