"""`make matrix`: try every client on every server version, directly and through a gateway, and write the page.

Usage: ``python tests/matrix/run.py [--servers 18,17,16,debian,14,13] [--clients 'psql;pgbench'] [--page PATH]``.
Without ``--page`` the cells are only printed. Exit status 1 if a cell failed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from clients import CLIENTS
from matrix_page import write
from play import Played, play

from servers import WITH_TLS, Postgres, ServerMissing, binaries

SERVERS = ("18", "17", "16", "debian", "14", "13")


def main() -> int:
    """Play, print, and after each server write the page if one is wanted."""
    parser = argparse.ArgumentParser(description="Try every client through a gateway.")
    parser.add_argument("--servers", default=",".join(SERVERS))
    parser.add_argument("--clients", default="")
    parser.add_argument("--page", type=Path)
    parser.add_argument("--all", action="store_true", help="print the cells that passed, too")
    options = parser.parse_args()
    wanted = set(filter(None, options.clients.split(";")))
    clients = [client for client in CLIENTS if not wanted or client.name in wanted]
    played: list[Played] = []
    try:
        for edition in options.servers.split(","):
            binaries(edition)
    except ServerMissing as missing:
        parser.exit(2, f"{missing}\n")
    for edition in options.servers.split(","):
        with Postgres(edition, tls=edition in WITH_TLS, settings=["max_prepared_transactions=8"]) as server:
            for one in play(server, clients):
                played.append(one)
                show(one, options.all)
        if options.page:
            write(options.page, played)
    return int(not all(cell.passed for one in played for cell in one.cells))


def show(one: Played, everything: bool) -> None:
    """Progress for whoever waits."""
    passed, tried = one.score
    print(f"{one.client.name} ({one.version}) on {one.server}: {passed} of {tried}", flush=True)
    for cell in one.cells:
        if everything or not cell.passed or not cell.counts:
            print(f"  {cell.word}: {cell.tried} {cell.reason}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
