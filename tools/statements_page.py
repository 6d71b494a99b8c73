"""Write docs/reference/postgresql-statements.md from the classifier's own table.

Usage: ``python tools/statements_page.py``
"""

from __future__ import annotations

from pathlib import Path

from tidegate.operations.sql_settings import HARMLESS
from tidegate.operations.sql_statements import TABLE

TARGET = Path(__file__).parent.parent / "docs" / "reference" / "postgresql-statements.md"
HEAD = """\
# PostgreSQL statements

How Tidegate classifies each statement. The text is parsed by PostgreSQL's own grammar; a statement that it does not
accept, or a kind that is not listed here, is `unknown` and refused unless policy names it.

An operation has one `command` (what the statement is), and the lists `commands` and `verbs` of everything inside it:
a `DELETE` in a `WITH`, in `EXPLAIN ANALYZE`, in `PREPARE`, in `COPY (...)` or in the body of a `DO` is found. Its verb
is the strictest of them, in the order read, session, write, execute, define, administer, unknown.

## Looked into

| statement | verb | what decides |
|---|---|---|
| `SELECT`, `VALUES`, `TABLE` | read | proven harmless: every function is on the shipped list of effect-free \
built-ins and no user-defined function bears its name, no operator, cast or type is user-defined, every relation is \
known and every view passes the same test. \
Otherwise `execute`. A lock clause makes it `write`, `INTO` makes it `define` |
| `nextval`, `setval`, advisory locks, `pg_notify`, `pg_export_snapshot`, `txid_current` | write | built-ins with \
known effects; the command is the function's name, and a constant names the sequence |
| `INSERT`, `UPDATE`, `DELETE`, `MERGE` | write | `unbounded` unless WHERE compares a column of the target with `=` or \
`IN` to constants or parameters |
| `EXPLAIN` | read | with `ANALYZE`, what it runs |
| `COPY` | read or write | a file or a program is `administer` |
| `PREPARE`, `DECLARE CURSOR` | that of the query | |
| `EXECUTE`, `FETCH`, `MOVE` | execute | the name stands in `prepared` or `cursor` |
| `DEALLOCATE`, `CLOSE` | session | |
| `CREATE TABLE AS`, `CREATE VIEW`, `CREATE RULE`, `CREATE FUNCTION` | define | `contains` lists a body's commands |
| `DO` | execute | the body is parsed; dynamic SQL and other languages are `unknown` |
| `CALL` | execute | |
| `LOCK TABLE` | write | `IN ACCESS SHARE MODE` it is a read: every `SELECT` takes that lock |
| `TRUNCATE` | define, write | always unbounded |
| `VACUUM`, `ANALYZE`, `GRANT`, `REVOKE` | administer | |
| `BEGIN`, `COMMIT`, `ROLLBACK`, `SAVEPOINT` | session | `COMMIT` has an effect; two-phase commit is `administer` |
| `SET`, `RESET`, `set_config` with a constant name | session | for the settings below; any other is `administer`, and \
so is lifting a time-out. The name stands in `setting` |
| `SHOW` | read | |
| `DISCARD` | session | |

"""


def main() -> None:
    """Write the page."""
    rows = sorted({(command.replace("{}", "KIND"), verb, reason) for verb, command, reason in TABLE.values()})
    table = "".join(f"| `{command}` | {verb} | {reason} |\n" for command, verb, reason in rows)
    harmless = ", ".join(f"`{name}`" for name in sorted(HARMLESS))
    TARGET.write_text(
        f"{HEAD}Harmless settings: {harmless}.\n\n## By kind\n\n| command | verb | reason |\n|---|---|---|\n{table}"
    )


if __name__ == "__main__":
    main()
