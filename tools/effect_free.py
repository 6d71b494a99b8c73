"""Make src/tidegate/operations/data/effect_free.txt: the built-in functions that change nothing and show no secret.

Usage: ``python tools/effect_free.py DSN [DSN ...]``, one DSN for each major version at hand. A name is on the list only
if every overload of it, on every server asked, is immutable or stable (or on the reasoned allow-list below), takes no
internal argument and is not on the reasoned deny-list. A line reads ``name``, ``name column column`` when the function
returns rows of named columns, ``name *`` when its columns depend on its arguments, and ``!name`` when it is not
effect-free; the latter lines let the classifier tell a built-in from a name it has never heard of.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from pathlib import Path

import psycopg

TARGET = Path(__file__).parent.parent / "src" / "tidegate" / "operations" / "data" / "effect_free.txt"

DENIED = {
    r"(query|table|cursor|schema|database)_to_xml.*": "takes SQL text, or reads relations named in an argument",
    r"ts_stat|ts_rewrite": "takes SQL text",
    r"lo_.*|lo(read|write)": "large objects hold values",
    r"pg_read_.*|pg_ls_.*|pg_stat_file|pg_current_logfile": "reads files",
    r"pg_stat_get_(activity|backend_.*|wal_senders|wal_receiver|progress_info|subscription.*|replication.*)":
        "shows other sessions",
    r"pg_(prepared_statement|prepared_xact|cursor|lock_status|listening_channels)": "shows statements or sessions",
    r"pg_(hba_file_rules|ident_file_mappings|show_all_file_settings|config|authid.*|shadow.*)": "shows server secrets",
    r"pg_logical_.*|pg_replication_.*|pg_get_replication_.*|pg_export_snapshot|pg_(create|drop|copy)_.*": "replication",
    r"pg_input_.*|(domain|record|array|range|multirange|enum|anyarray)_(in|recv)": "runs a type's own input function",
    r"txid_current|pg_current_xact_id": "assigns a transaction id",
    r"binary_upgrade_.*|pg_event_trigger_.*|pg_extension_config_dump": "server internals",
    r"pg_mcv_list_items|pg_get_publication_tables|pg_stats_ext_.*": "shows sampled values",
    r"(json|jsonb)_populate_.*": "casts into types named in an argument",
}  # fmt: skip
ALLOWED = {
    r"random|random_normal|gen_random_uuid|uuidv4|uuidv7": "randomness only (the generator's state is per session)",
    r"clock_timestamp|timeofday|statement_timestamp": "time",
    r"timezone": "volatile on 13 for one overload, because the offset of a timetz depends on the day",
    r"pg_sleep(_for|_until)?": "waits; a statement time-out bounds it",
    r"pg_partition_(ancestors|tree|root)": "catalog look-ups",
    r"pg_get_sequence_data": "reads a sequence, as selecting from it does",
    r"currval|lastval|pg_backend_pid|pg_is_in_recovery|pg_postmaster_start_time|pg_conf_load_time": "session facts",
    r"pg_(relation|table|indexes|total_relation|database|tablespace)_size|pg_size_.*": "sizes",
    r"pg_stat_get_(live_tuples|dead_tuples|tuples_.*|numscans)|pg_is_wal_replay_paused": "counters",
    r"pg_xact_commit_timestamp|pg_last_.*|pg_current_wal_(lsn|insert_lsn|flush_lsn)": "positions and times",
}  # fmt: skip

QUERY = """
SELECT n.nspname, p.proname, p.provolatile,
  p.prorettype::regtype::text, p.proargtypes::regtype[]::text[],
  CASE WHEN p.proargmodes IS NULL THEN NULL ELSE ARRAY(
    SELECT p.proargnames[i] FROM generate_subscripts(p.proargmodes, 1) i WHERE p.proargmodes[i] IN ('o','b','t')) END,
  t.typtype
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_type t ON t.oid = p.prorettype
WHERE p.oid < 16384 AND n.nspname IN ('pg_catalog', 'information_schema')
"""
HIDDEN = {"internal", "cstring", "trigger", "event_trigger", "language_handler", "fdw_handler", "index_am_handler",
          "table_am_handler", "tsm_handler"}  # fmt: skip
POLYMORPHIC = re.compile(r"any(element|array|compatible|compatiblearray|nonarray)|record")


def matches(name: str, table: dict[str, str]) -> bool:
    """Whether a pattern of ``table`` covers the whole name."""
    return any(re.fullmatch(pattern, name) for pattern in table)


def verdict(name: str, volatility: str, result: str, arguments: list[str]) -> bool:
    """Whether this overload changes nothing and shows no secret."""
    if matches(name, DENIED) or HIDDEN & {result, *arguments}:
        return False
    return volatility in "is" or matches(name, ALLOWED)


def shape(result: str, outputs: list[str] | None, kind: str) -> str:
    """The result's columns as the list spells them."""
    if outputs:
        return " ".join(outputs)
    return "*" if kind == "c" or POLYMORPHIC.fullmatch(result) else ""


def collect(dsns: list[str]) -> dict[str, tuple[bool, set[str]]]:
    """Name -> (effect-free on every server and overload, shapes seen)."""
    found: dict[str, tuple[bool, set[str]]] = defaultdict(lambda: (True, set()))
    for dsn in dsns:
        with psycopg.connect(dsn) as connection:
            for schema, name, volatility, result, arguments, outputs, kind in connection.execute(QUERY):
                key = name if schema == "pg_catalog" else f"{schema}.{name}"
                free, shapes = found[key]
                shapes.add(shape(result, outputs, kind))
                found[key] = (free and verdict(name, volatility, result, arguments), shapes)
    return found


def main() -> None:
    """Write the list."""
    lines = ["# Made by tools/effect_free.py from the servers' own pg_proc. Do not edit."]
    for name, (free, shapes) in sorted(collect(sys.argv[1:]).items()):
        columns = shapes.pop() if len(shapes) == 1 else "*"
        lines.append(f"{name} {columns}".rstrip() if free else f"!{name}")
    TARGET.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
