"""The list of effect-free built-ins."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest

from tidegate.model.operation import Verb
from tidegate.operations.catalog import Catalog, Relation
from tidegate.operations.sql import Classifier
from tidegate.operations.sql_effects import (
    attribute_doubt,
    function_doubt,
    listed,
    operator_doubt,
    refused,
    shows_nothing,
    type_doubt,
)

DANGEROUS = [
    "nextval", "setval", "set_config", "pg_notify", "lo_get", "lo_export", "lo_import", "loread", "pg_read_file",
    "pg_ls_dir", "pg_stat_file", "query_to_xml", "table_to_xml", "cursor_to_xml", "schema_to_xml",
    "database_to_xml", "ts_stat", "ts_rewrite", "pg_terminate_backend", "pg_cancel_backend", "pg_reload_conf",
    "pg_advisory_lock", "pg_try_advisory_lock", "pg_stat_get_activity", "pg_logical_emit_message",
    "pg_export_snapshot", "txid_current", "pg_switch_wal", "pg_create_restore_point", "pg_input_is_valid",
    "domain_in", "pg_stat_get_backend_activity", "pg_cursor", "pg_prepared_statement", "pg_hba_file_rules",
    "pg_mcv_list_items",
]  # fmt: skip


@pytest.mark.parametrize("name", DANGEROUS)
def test_dangerous_functions_are_refused(name: str) -> None:
    """None of these is ever on the list of the harmless."""
    assert name not in listed()
    assert name in refused()


@pytest.mark.parametrize("name", ["count", "lower", "now", "format_type", "row_to_json", "random", "unnest", "lag"])
def test_everyday_functions_are_harmless(name: str) -> None:
    """What reads are made of is on the list."""
    assert function_doubt(Catalog(), (name,)) == ""


def test_no_volatile_function_slips_in_by_accident(database: psycopg.Connection) -> None:
    """Every listed name that some server calls volatile is one of the reasoned exceptions."""
    rows = database.execute(
        "SELECT DISTINCT proname FROM pg_proc WHERE provolatile = 'v' AND oid < 16384"
        " AND pronamespace = 'pg_catalog'::regnamespace"
    ).fetchall()
    slipped = {name for (name,) in rows} & listed().keys()
    prefixes = ("random", "pg_sleep", "pg_partition", "pg_stat_get", "pg_last", "pg_current_wal", "uuid")
    exact = {"clock_timestamp", "timeofday", "gen_random_uuid", "currval", "lastval", "pg_is_in_recovery", "timezone"}
    others = {name for name in slipped if not name.startswith(prefixes) and not name.endswith("_size")} - exact
    assert others <= {
        "pg_is_wal_replay_paused", "pg_xact_commit_timestamp", "pg_conf_load_time", "pg_get_sequence_data"
    }  # fmt: skip


@pytest.mark.parametrize("name", ["pg_start_backup", "pg_stop_backup", "currtid", "pg_is_in_backup"])
def test_what_only_older_servers_have_is_refused(name: str) -> None:
    """Built-ins of 13 and 14 that newer servers do not have are known not to be harmless."""
    assert name in refused()


def test_columns_that_differ_between_versions_are_not_promised() -> None:
    """Rows of a function have named columns only where every version gives the same ones."""
    assert listed()["pg_get_keywords"] == ("*",)
    assert listed()["aclexplode"] == ("grantor", "grantee", "privilege_type", "is_grantable")


@pytest.mark.parametrize(
    "call",
    ["json_value(note, 'a')", "json_query(note, 'a')", "json_exists(note, 'a')", "json_array(note)", "json(note)",
     "json_scalar(id)", "json_object(note)", "json_arrayagg(id)", "json_objectagg(id: id)", "merge_action()"],
)  # fmt: skip
def test_a_keyword_of_newer_servers_may_be_a_function_of_a_users(catalog: Catalog, call: str) -> None:
    """Before 17 (16 for some) these words are names: a user's function of that name is what an older server calls."""
    text = f"SELECT {call} FROM orders"
    assert Classifier(catalog).classify(text)[0].verb is Verb.READ
    mine = replace(catalog, functions=catalog.functions | {("public", call.partition("(")[0])})
    facts = Classifier(mine).classify(text)[0]
    assert facts.verb is Verb.EXECUTE and facts.details["unresolved"]


@pytest.mark.parametrize("text", ["SELECT upper(system_user) FROM t", "SELECT * FROM system_user"])
def test_system_user_may_be_a_name(text: str) -> None:
    """Before 16 ``system_user`` is a column or a table like any other."""
    table = Relation(20_000, "public", "t", "table", ("system_user",))
    named = replace(table, oid=20_001, name="system_user")
    relations = {("public", "t"): table, ("public", "system_user"): named}
    known = Catalog(path=("pg_catalog", "public"), _names=relations)
    assert Classifier(known).classify(text)[0].details["unresolved"]
    assert Classifier(Catalog()).classify("SELECT system_user")[0].verb is Verb.READ
    assert not Classifier(Catalog()).classify("SELECT system_user")[0].effect


@pytest.mark.parametrize(
    ("names", "doubtful"),
    [(("lower",), False), (("upper",), True), (("pg_catalog", "upper"), False), (("public", "lower"), True),
     (("spy",), True), (("never_heard_of",), True)],
)  # fmt: skip
def test_functions(catalog: Catalog, names: tuple[str, ...], doubtful: bool) -> None:
    """A user's function of the same name puts the bare name in doubt, not the qualified one."""
    assert bool(function_doubt(catalog, names)) == doubtful


def test_operators_types_and_attributes(catalog: Catalog) -> None:
    """The same holds for operators, types and attribute notation."""
    assert operator_doubt(catalog, ("@#@",)) and not operator_doubt(catalog, ("=",))
    assert type_doubt(catalog, ("checked",)) and not type_doubt(catalog, ("mood",))
    assert type_doubt(catalog, ("customers",)) and not type_doubt(catalog, ("pg_catalog", "int4"))
    assert attribute_doubt(catalog, "spy") and not attribute_doubt(catalog, "email")


def test_results_that_show_no_value(catalog: Catalog) -> None:
    """nextval has an effect, but what it gives is no stored value."""
    assert shows_nothing(catalog, ("nextval",))
    assert not shows_nothing(catalog, ("pg_read_file",))
