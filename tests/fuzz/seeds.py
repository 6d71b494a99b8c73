"""Makes the seeds anew from real conversations: ``python tests/fuzz/seeds.py``; the result is kept in ``corpus/``.

psql, pgbench and psycopg talk to a real server through a tap that keeps both directions; what the agents of the
upstream's target ask is asked of the real server too. Run it when the targets' inputs change their form.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import psycopg

from fuzz.server import frame, messages
from fuzz.target_upstream import ASKED
from fuzz.targets import CORPUS
from servers import Postgres
from unit.operations.corpus import CORPUS as TEXTS
from unit.wire.messages import FLUSH, SYNC, bind, close, execute, parse, query

LONGEST = 8000
TABLE = "create table t (x text, y text); insert into t values ('1', 'hidden'), ('2', null)"
SCRIPT = "\\d t\nbegin;\nselect * from t;\nselec;\nrollback;\n\\copy t to '/dev/null'\nselect 1 \\bind \\g\n"
END = b"Z\0\0\0\5"
LOGGED_IN = b"Z\0\0\0\5I"


def startup(*words: str) -> bytes:
    """A startup packet."""
    body = b"\0\3\0\0" + "".join(f"{word}\0" for word in words).encode() + b"\0"
    return (len(body) + 4).to_bytes(4, "big") + body


POLICY = b"""rules:
  - id: reads
    who: {kinds: [user, agent], groups: [staff]}
    on: {labels: {env: prod}}
    may: [read]
    then: allow
    mask: [pii]
    limit: {rows: 10, per: session}
  - id: bulk
    may: [write]
    where: {unbounded: true, command: [delete, "create *"], objects: [public.*]}
    then: hold
    approvers: {groups: [dba], count: 2}
    within: 15m
  - id: never
    may: [write, define]
    where: {functions: [pg_catalog.*], multi: [true, false]}
    then: refuse
    because: "No."
---
{"verb": "write", "verbs": ["read"], "commands": ["delete"], "writes": ["public.t"], "unbounded": true}"""

RUN = bind() + execute()
WRITTEN = {
    "policy": {"all-words": POLICY},
    "opening": {
        "cancel": bytes.fromhex("0000001004d2162e0000000112345678"),
        "options": startup("database", "shop/db", "options", "-c lock_timeout=5 --search_path=a,b"),
        "bearer": startup("database", "shop", "tidegate.auth", "oauth")
        + frame(b"p", b"OAUTHBEARER\0\0\0\0\x15n,,\1auth=Bearer abc\1\1"),
    },
    "login": {
        "md5": b"\2" + frame(b"R", b"\0\0\0\5salt") + frame(b"R", bytes(4)) + frame(b"S", b"a\0b\0") + LOGGED_IN,
        "older": b"\2" + frame(b"v", bytes.fromhex("0003000000000000")) + frame(b"R", bytes(4)) + LOGGED_IN,
        "challenge": b"r=nonce2,s=YWJj,i=4096\nv=YWJj",
    },
    "evidence": {
        "leaf": b'{"a":1,"b":[true,null,"\xc3\xa9\\n"],"c":{"d":-5}}',
        "checkpoint": b"example.org/log\n7\n" + b"A" * 43 + b"=\n\n\xe2\x80\x94 example.org/log AAAAAAA=\n",
        "record": bytes.fromhex("07000000010000000500000000000000") + sha256(b'\0{"i":5}'[:8]).digest() + b'{"i":5}\0',
        "frame": b"TGFR" + bytes(60),
        "recording": b"TGREC\r\n\x01" + bytes(56),
        "bundle": b"\0\3abc\0\2de",
    },
    "agent": {
        "refused-behind-flush": b"ab" + parse("", "insert 1") + RUN + FLUSH + parse("", "insert refuse") + RUN + SYNC,
        "held-then-refused": b"\0\0" + query("insert hold; select 2") + query("refuse"),
        "copies": b"ab" + query("copy in") + frame(b"d", b"x") + frame(b"c") + query("copy out") + query("copy in")
        + frame(b"d", b"bad") + frame(b"f", b"no\0"),
        "names": b"ab" + parse("a", "select 1") + bind("p", "a", b"v") + execute("p") + close("P", "p") + SYNC
        + query("prepare b as insert 1") + bind("", "b") + execute() + query("deallocate b") + SYNC,
        "failed-block": b"ab" + query("begin; insert 1") + query("insert refuse") + query("rollback"),
        "suspended": b"ab" + parse("", "select 1") + bind() + frame(b"E", b"\0\0\0\0\2") * 2 + frame(b"F", b"1") + SYNC,
    },
}  # fmt: skip
"""Seeds that no client at hand would make."""


class Tap:
    """A port that leads to the server and keeps what passes."""

    def __init__(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port = port
        self.port = self._listener.getsockname()[1]
        self.kept: list[tuple[bytearray, bytearray]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            agent, _ = self._listener.accept()
            upstream = socket.create_connection(("127.0.0.1", self._port))
            sides = bytearray(), bytearray()
            self.kept.append(sides)
            for one, other, kept in ((agent, upstream, sides[0]), (upstream, agent, sides[1])):
                threading.Thread(target=self._carry, args=(one, other, kept), daemon=True).start()

    @staticmethod
    def _carry(one: socket.socket, other: socket.socket, kept: bytearray) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                kept += data
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)


def save(target: str, name: str, data: bytes) -> None:
    """Keep one seed."""
    (CORPUS / target).mkdir(parents=True, exist_ok=True)
    (CORPUS / target / name).write_bytes(data[:LONGEST])


def asked(agent: bytes) -> bytes:
    """What an agent said after its login: startup packet, then password messages, then that."""
    at = int.from_bytes(agent[:4], "big")
    if agent[4:8] == (80877103).to_bytes(4, "big"):
        return asked(agent[8:])
    while agent[at : at + 1] == b"p":
        at += 1 + int.from_bytes(agent[at + 1 : at + 5], "big")
    return agent[at:]


def clients(server: Postgres, tap: Tap) -> dict[str, Callable[[], None]]:
    """Programs by name; each opens connections through the tap."""
    dsn = server.dsn().replace(str(server.port), str(tap.port)) + " sslmode=disable gssencmode=disable"

    def run(*words: str, said: str = "") -> None:
        at = ("-h", "127.0.0.1", "-p", str(tap.port), "-U", server.user)
        subprocess.run(
            [server.bin / words[0], *words[1:], *at, "postgres"],
            input=said.encode(),
            env={"PGPASSWORD": server.password, "PATH": "/usr/bin:/bin", "PGSSLMODE": "disable"},
            capture_output=True,
            check=True,
        )

    def pipeline() -> None:
        with psycopg.connect(dsn, autocommit=True) as agent, agent.pipeline():
            for number in range(3):
                agent.execute("select x from t where y = %s", [str(number)], prepare=True)

    def copies() -> None:
        with psycopg.connect(dsn) as agent:
            with agent.cursor().copy("copy t from stdin") as copy:
                copy.write_row(("3", "hidden"))
            with agent.cursor().copy("copy t to stdout (format binary)") as copy:
                list(copy)

    return {
        "psql": lambda: run("psql", "-X", said=SCRIPT),
        "pgbench": lambda: run(
            "pgbench", "-n", "-t", "2", "-M", "prepared", "-f", "/dev/stdin", said="select x from t;"
        ),
        "pgbench-pipeline": lambda: run(
            *("pgbench", "-n", "-t", "1", "-M", "extended", "-f", "/dev/stdin"),
            said="\\startpipeline\nselect 1;\nbegin;\ninsert into t values (1);\ncommit;\n\\endpipeline\n",
        ),
        "psycopg-pipeline": pipeline,
        "psycopg-copy": copies,
    }


def agents(server: Postgres) -> None:
    """What real clients say, and what a real server says while it lets them in."""
    tap = Tap(server.port)
    for name, talk in clients(server, tap).items():
        tap.kept.clear()
        talk()
        for number, (agent, upstream) in enumerate(tap.kept):
            save("agent", f"{name}-{number}", b"\0\0" + asked(bytes(agent)))
            if not number:
                save("opening", name, bytes(agent[: int.from_bytes(agent[:4], "big")]) + frame(b"p", b"tgt_token\0"))
                save("login", name, b"\0" + upstream[: upstream.index(LOGGED_IN) + len(LOGGED_IN)])


def upstreams(server: Postgres) -> None:
    """What the real server answers to each script of the upstream's target."""
    tap = Tap(server.port)
    dsn = server.dsn().replace(str(server.port), str(tap.port)) + " sslmode=disable gssencmode=disable"
    for number, script in enumerate(ASKED):
        tap.kept.clear()
        agent = psycopg.connect(dsn)
        with socket.socket(fileno=os.dup(agent.fileno())) as peer:
            upstream = tap.kept[0][1]
            at, ends = len(upstream), sum(tag in (b"Q", b"S", b"F") for tag, _ in messages(script))
            peer.settimeout(5)
            peer.sendall(script)
            while upstream.count(END, at) < ends:
                peer.recv(65536)
            save("upstream", f"script-{number:02}", bytes((number, 0)) + upstream[at:])
        agent.close()


def main() -> None:
    """Write every seed."""
    with Postgres("18") as server:
        server.psql(TABLE)
        agents(server)
        upstreams(server)
    for target, seeds in WRITTEN.items():
        for name, data in seeds.items():
            save(target, name, data)
    for number, row in enumerate(TEXTS[::6]):
        save("text", f"statement-{number:02}", row[0].encode())


if __name__ == "__main__":
    main()
