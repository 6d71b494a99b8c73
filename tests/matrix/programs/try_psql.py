"""psql: meta-commands, scripts, variables, transactions, copying, watching."""

import os
from pathlib import Path

from trials import Trials, Unsupported, program, run

tried = Trials()


def psql(script: str, *options: str, status: int = 0) -> str:
    return run(program("psql"), "-X", *options, stdin=script, status=status)


def describes(command: str) -> None:
    tried(f"`{command}`")(lambda: psql(command))


for command in (
    *("\\d", "\\d+", "\\dt", "\\dt+", "\\dv", "\\di", "\\ds", "\\df", "\\df+", "\\du", "\\l", "\\dn", "\\dn+"),
    *("\\dp", "\\dT+", "\\dd", "\\dx", "\\do =", "\\dC", "\\dD", "\\des", "\\dRp", "\\ddp", "\\drds", "\\db"),
    *("\\d customers", "\\d+ customers", "\\d+ orders", "\\d+ order_totals", "\\d orders_by_customer"),
    *("\\sf order_count", "\\sv order_totals", "\\dconfig work_mem", "\\encoding", "\\dO", "\\dF", "\\dL"),
):
    describes(command)


@tried("`SELECT` with masked and clear columns, aligned")
def selects() -> str:
    return psql("select id, name, email, city from customers where id <= 3 order by id;")


@tried("`\\x`, `\\pset`, `\\t`, `\\a`")
def formats() -> str:
    return psql(
        "\\x on\nselect id, email from customers where id = 1;\n\\x off\n\\pset format csv\ntable order_totals;"
    )


@tried("`\\gset`, `\\gexec`, `\\gdesc`, `\\crosstabview`")
def results() -> str:
    return psql(
        "select count(*) as many from orders \\gset\n\\echo :many\n"
        "select format('select %s + 1', i) from generate_series(1, 3) i \\gexec\n"
        "select id, total from orders \\gdesc\n"
        "select city, active, count(*) from customers group by 1, 2 order by 1, 2 \\crosstabview\n"
    )


@tried("`\\watch`")
def watches() -> str:
    # Only psql 16 and later can be told how often; an error ends it in every version, here in the third round.
    said = psql(
        "\\pset tuples_only on\nselect setval('notes_id_seq', 1);\n"
        "select 100 / (4 - nextval('notes_id_seq')) \\watch 0.1\n"
    )
    return "\n".join(line for line in said.splitlines() if "(every" not in line)


@tried("`\\bind`")
def binds() -> str:
    if "\\bind" not in psql("\\?"):
        raise Unsupported("it came with psql 16")
    return psql("select $1::int + $2::int \\bind 3 4 \\g\n")


@tried("`\\i`, `\\ir`, `\\set`, `\\if`")
def includes() -> str:
    Path("inner.sql").write_text("\\set n 7\nselect :n * 6 as answer;\n")
    return psql("\\i inner.sql\n\\ir inner.sql\n\\if :n\n select 'yes';\n\\endif\n")


@tried("several statements in one string, with an error in the middle")
def several() -> str:
    return psql("", "-c", "select 1; select 2; select 1/0; select 3", status=1)


@tried("a transaction with a savepoint, committed")
def transaction() -> str:
    return psql(
        "begin;\ninsert into notes (body) values ('kept');\nsavepoint s;\ninsert into notes (body) values (null);\n"
        "rollback to s;\nselect 1/0;\nrollback to s;\nupdate notes set feeling = 'happy' where id = 1;\ncommit;\n"
        "select body, feeling from notes;"
    )


@tried("`--single-transaction` rolls everything back at an error")
def single() -> str:
    Path("fails.sql").write_text("insert into notes (body) values ('lost');\nselect nothing;\n")
    first = run(program("psql"), "-X", "-1", "-v", "ON_ERROR_STOP=1", "-f", "fails.sql", status=3)
    return first + psql("select count(*) from notes where body = 'lost';")


@tried("`ON_ERROR_ROLLBACK` with its savepoints")
def rollback() -> str:
    return psql("\\set ON_ERROR_ROLLBACK on\nbegin;\nselect 1/0;\nselect 'still here';\ncommit;")


@tried("`FETCH_COUNT` (a cursor behind the scenes)")
def fetch_count() -> str:
    return psql("\\set FETCH_COUNT 100\nselect id, total from orders order by id;", "-At")


@tried("a cursor in SQL: DECLARE, FETCH, MOVE, CLOSE")
def cursor() -> str:
    return psql(
        "begin; declare c scroll cursor for select id, email from customers order by id;"
        " fetch 2 from c; move 10 in c; fetch backward 1 from c; close c; commit;"
    )


@tried("PREPARE and EXECUTE in SQL")
def prepared() -> str:
    return psql("prepare p (int) as select id, city from customers where id = $1; execute p (3); deallocate p;")


@tried("`\\copy` out, text and CSV, and in again")
def copies() -> str:
    return psql(
        "\\copy (select id, total from orders order by id) to 'out.csv' csv header\n\\! wc -c out.csv\n"
        "\\copy notes (body, feeling) from pstdin\none\thappy\ntwo\tsad\n\\.\n"
        "\\copy (select body, feeling from notes order by id) to pstdout\n"
    )


@tried("`\\copy` in with an error half-way")
def copy_fails() -> str:
    return psql(
        "\\copy notes (body, feeling) from pstdin csv\ngood,happy\nbad,furious\n\\.\nselect count(*) from notes;"
    )


@tried("`\\copy` of a masked column", refused=True)
def copies_masked() -> str:
    return psql("\\copy customers (id, email) to pstdout\n", "-v", "ON_ERROR_STOP=1")


@tried("a masked column in WHERE", refused=True)
def peeks() -> str:
    return psql("select id from customers where email like 'person0001%';", "-v", "ON_ERROR_STOP=1")


@tried("an UPDATE of every row", refused=True)
def bulk() -> str:
    return psql("update orders set note = 'all';", "-v", "ON_ERROR_STOP=1")


@tried("`\\password` (ALTER ROLE)", refused=True)
def password() -> str:
    return psql(f"alter role app password '{os.environ['PGPASSWORD']}';", "-v", "ON_ERROR_STOP=1")


@tried("LISTEN and NOTIFY", withheld=' with payload \\"hello\\"')
def notifies() -> str:
    heard = psql("listen news;\nnotify news, 'hello';\nselect 1;\nunlisten news;")
    return heard.split(" received from server process")[0]


@tried("EXPLAIN and EXPLAIN ANALYZE")
def explains() -> str:
    plan = psql("explain (costs off) select * from orders where id = 7;\n")
    return plan + str("Execution Time" in psql("explain analyze select * from orders where id = 7;"))


@tried("`\\timing`, `\\errverbose`, notices and warnings")
def notices() -> str:
    return psql("select 1/0;\n\\errverbose\ncommit;\nset client_min_messages = notice;", "-v", "VERBOSITY=verbose")


@tried("SET, SHOW, RESET of harmless settings; `DISCARD ALL`")
def settings() -> str:
    return psql("set timezone = 'Asia/Tokyo'; show timezone; set statement_timeout = '5s'; reset all; discard all;")


@tried("SELECT ... FOR UPDATE")
def locks() -> str:
    return psql("begin; select id, city from customers where id = 5 for update; commit;")


@tried("INSERT ... RETURNING, ON CONFLICT, CTEs, window functions")
def modern() -> str:
    return psql(
        "insert into notes (id, body) values (900, 'x') on conflict (id) do update set body = excluded.body"
        " returning id, body;\n"
        "with big as (select customer, sum(total) s from orders group by 1)"
        " select customer, rank() over (order by s desc, customer) from big order by 2 limit 3;"
    )


if __name__ == "__main__":
    tried.run(run(program("psql"), "--version").strip())
