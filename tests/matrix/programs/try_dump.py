"""pg_dump and pg_restore: schema, data, custom format, parallel, into an empty schema."""

import re

from trials import Trials, program, run

tried = Trials()
UNTAGGED = ("--exclude-table-data=customers",)


def dump(*options: str) -> str:
    """A dump without what differs between any two (\\restrict keys)."""
    return re.sub(r"^\\(un)?restrict .*$", "", run(program("pg_dump"), *options), flags=re.MULTILINE)


def psql(text: str) -> str:
    return run(program("psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", stdin=text)


def restore(*options: str) -> None:
    """pg_restore; into a server older than itself by way of a script without the settings that are unknown there."""
    if int(psql("show server_version_num")) >= 17_00_00 or "--transaction-size" not in run(program("pg_restore"), "-?"):
        run(program("pg_restore"), "-d", "shop", *options)
        return
    script = run(program("pg_restore"), "-f", "-", *options)
    psql(re.sub(r"^SET transaction_timeout = 0;$", "", script, flags=re.MULTILINE))


@tried("`pg_dump --schema-only`")
def schema() -> str:
    return dump("--schema-only")


@tried("`pg_dump` of everything but the tagged table's rows")
def data() -> str:
    return dump(*UNTAGGED)


@tried("`pg_dump --table --data-only --inserts`")
def inserts() -> str:
    return dump("--table=notes", "--table=orders", "--data-only", "--inserts")


@tried("`pg_dump` with the tagged column's values", refused=True)
def tagged() -> str:
    return dump("--table=customers")


@tried("`pg_dump -Fc`, `pg_restore -l`, `pg_restore` into an emptied schema")
def restores() -> str:
    run(program("pg_dump"), "-Fc", "-f", "shop.dump", *UNTAGGED, "--no-comments")
    listing = [
        line.split(" ", 2)[-1] for line in run(program("pg_restore"), "-l", "shop.dump").splitlines() if line[0] != ";"
    ]
    restore("--clean", "--if-exists", "--no-owner", "--table=notes", "shop.dump")
    return "\n".join(re.sub(r"^\d+ \d+ ", "", line) for line in listing) + psql("select count(*) from notes")


@tried("`pg_dump -Fd -j 2` (an exported snapshot)")
def parallel() -> str:
    return run(program("pg_dump"), "-Fd", "-j", "2", "-f", "parallel", *UNTAGGED) + psql("select 1")


if __name__ == "__main__":
    tried.run(run(program("pg_dump"), "--version").strip())
