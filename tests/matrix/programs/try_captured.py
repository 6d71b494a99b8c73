"""What GUI clients ask when they connect and show a database: pgAdmin's statements replayed, pgcli's own code run."""

import os
from collections.abc import Callable
from pathlib import Path

from pgcli import __version__
from pgcli.pgexecute import PGExecute
from trials import Trials, Unsupported, program, run

tried = Trials()
CAPTURE = Path(__file__).parents[1] / "captures" / "pgadmin4.sql"
LOOKS = (
    "schemata",
    "tables",
    "views",
    "table_columns",
    "view_columns",
    "foreignkeys",
    "functions",
    "datatypes",
    "casing",
)


def parts() -> dict[str, dict[int, str]]:
    """The capture cut at its titles: for each the script of every version that has one of its own, with the look-ups of
    numbers that come first."""
    head, *rest = CAPTURE.read_text().split("\\echo ")
    found: dict[str, dict[int, str]] = {}
    for part in rest:
        title, _, text = part.partition("\n")
        title, _, since = title.partition(" @")
        found.setdefault(title, {})[int(since or 0)] = head + text
    return found


def ask(script: str) -> str:
    return run(program("psql"), "-XAt", "-v", "ON_ERROR_STOP=1", stdin=script)


for title, scripts in parts().items():

    @tried(f"pgAdmin 4 (captured): {title}")
    def replays(scripts: dict[int, str] = scripts) -> str:
        version = int(ask("show server_version_num")) // 10_000
        fitting = [since for since in scripts if since <= version]
        if not fitting:
            raise Unsupported(f"pgAdmin 4 9.18 asks what only PostgreSQL {min(scripts)} and later understand")
        return ask(scripts[max(fitting)])


def opened() -> PGExecute:
    at = {key: os.environ[f"PG{key.upper()}"] for key in ("database", "user", "password", "host", "port")}
    return PGExecute(**at)


def looked(look: Callable[[], object]) -> object:
    found = look()
    return [str(row) for row in found] if hasattr(found, "__iter__") and not isinstance(found, str) else str(found)


for name in LOOKS:

    @tried(f"pgcli: {name} for completion")
    def completes(name: str = name) -> object:
        return looked(getattr(opened(), name))


@tried("pgcli: connect, search path, databases, definitions")
def definitions() -> object:
    shell = opened()
    return shell.search_path(), shell.databases(), shell.view_definition("order_totals"), shell.get_timezone()


@tried("pgcli: running statements")
def runs() -> object:
    found = opened().run("select id, email from customers where id < 3 order by id; select 2")
    return [(str(title), [tuple(row) for row in rows or ()], status) for title, rows, _, status, *_ in found]


if __name__ == "__main__":
    tried.run(f"pgAdmin 4 9.18 as captured, pgcli {__version__}")
