"""pgbench: its own tables, its three protocols, and pipelines."""

import re
from pathlib import Path

from trials import Trials, program, run

tried = Trials()
PIPELINE = """\\set aid random(1, 10000)
\\startpipeline
select abalance from pgbench_accounts where aid = :aid;
update pgbench_accounts set abalance = abalance + 1 where aid = :aid;
select abalance from pgbench_accounts where aid = :aid;
\\endpipeline
"""


def bench(*options: str) -> str:
    """What of the report does not depend on time."""
    said = run(program("pgbench"), "-n", "-t", "20", *options)
    return "\n".join(line for line in said.splitlines() if re.match("number of (trans|failed)|transaction type", line))


def total(column: str, table: str) -> str:
    return run(program("psql"), "-XAtc", f"select count(*), sum({column}) from pgbench_{table}")


@tried("initialise, client-side rows over COPY (`-i`), with primary and foreign keys")
def initialises() -> str:
    said = run(program("pgbench"), "-i", "-I", "dtgpf", "-s", "1", "--fillfactor=90")
    return said.splitlines()[-1].split(" in ")[0] + total("aid", "accounts")


@tried("initialise, server-side rows (`-I G`)")
def on_the_server() -> str:
    run(program("pgbench"), "-i", "-I", "dtGp")
    return total("aid", "accounts")


for mode in ("simple", "extended", "prepared"):

    @tried(f"select-only, 4 clients, {mode} protocol")
    def reads(mode: str = mode) -> str:
        return bench("-S", "-c", "4", "-M", mode)

    @tried(f"TPC-B-like, 4 clients, {mode} protocol")
    def tpcb(mode: str = mode) -> str:
        return bench("-c", "4", "-M", mode) + total("1", "history")


@tried("`\\startpipeline`, extended protocol")
def pipeline() -> str:
    Path("pipeline.sql").write_text(PIPELINE)
    return bench("-f", "pipeline.sql", "-c", "2", "-M", "extended") + total("abalance * 0", "accounts")


@tried("`\\startpipeline`, prepared")
def pipeline_prepared() -> str:
    return bench("-f", "pipeline.sql", "-c", "2", "-M", "prepared")


@tried("reconnecting for each transaction (`-C`)")
def reconnects() -> str:
    return bench("-S", "-C", "-t", "5")


if __name__ == "__main__":
    tried.run(run(program("pgbench"), "--version").strip())
