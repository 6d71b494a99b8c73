"""What the story plays on: a scratch directory, the shop's database, a running gateway, and one desk per person.

Layout: ``gateway/`` is what an operator has (configuration and data), ``auditor/`` is what lies elsewhere (the
auditor's key, later the trust file and a checkpoint), ``alice/``, ``bob/`` and ``operator/`` are homes, and ``agent/``
holds the agent's password file. All of it goes when the stage closes, and every process is ended by its id.
"""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path

import pyrage

from tidegate.errors import ResourceError

from .billing import Billing
from .cache import Cache
from .desk import Desk
from .page import Page
from .server import Shop

PATIENCE = 30.0
"""Seconds the gateway may take to come up."""

_CODE = re.compile(r"bootstrap code: (\S+)")
_AUDITOR = re.compile(r"age1[0-9a-z]{50,}")


class Stage:
    """Everything that runs during the demo; a context manager that brings it up and takes it down.

    ``known`` prefers the usual ports, for people; without it any free ones are taken. ``bootstrap_code`` is the
    one-time code that the gateway printed once it was up.
    """

    def __init__(self, page: Page, *, known: bool) -> None:
        self.page, self._known = page, known
        self._cleanup = ExitStack()

    def __enter__(self) -> Stage:
        try:
            self._build()
        except BaseException:
            self._cleanup.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    @property
    def api(self) -> str:
        """The gateway's address for `tidegate login`."""
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def data(self) -> Path:
        """The gateway's data directory."""
        return self.root / "gateway" / "data"

    @property
    def passfile(self) -> Path:
        """Where the agent's token is, in the form its client reads."""
        return self.root / "agent" / "token"

    def handed(self, alice: Desk, resource: str) -> str:
        """alice gives her agent a token for another resource; the name of its file."""
        name = f"{resource}.token"
        alice.types(
            *("token", "create", "--agent", "claude-code", "--for", "alice", "--resource", resource, "--ttl", "15m"),
            *("--reason", "Look into OPS-17", "--out", self.root / "agent" / name),
        )
        return name

    def desk(self, name: str) -> Desk:
        """A new terminal for a person."""
        return Desk(name, self.root / name, self.root, self.page)

    def more_terminals(self) -> list[str]:
        """Shell lines after which the commands and paths of the page work in another terminal."""
        programs = self.root / "bin"
        programs.mkdir()
        (programs / "psql").symlink_to(self.shop.bin / "psql")
        (programs / "tidegate").symlink_to(Path(sys.executable).with_name("tidegate"))
        return [f"cd {self.root}", 'export PATH="$PWD/bin:$PATH"']

    def watch(self) -> None:
        """Return when the gateway ends by itself, with its last words as an error."""
        self._gateway.wait()
        raise ResourceError("the gateway ended", hint=self._last_words(), code="demo.gateway")

    def _build(self) -> None:
        self.root = Path(self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="tidegate-demo-")))
        self.root.chmod(0o755)  # the database runs under another account and must reach its own directory
        for name in ("gateway", "auditor", "agent"):
            (self.root / name).mkdir(mode=0o700)
        usual = (7443, 6432, 5433, 6390, 6391, 8090, 8091)
        self._ports = {wanted: port(wanted if self._known else 0) for wanted in usual}
        self.api_port, self.port, shop_port, self.cache_port, cache_port, self.http_port, billing_port = (
            self._ports.values()
        )
        self.shop = Shop(self.root / "shop", shop_port)
        self._cleanup.callback(self.shop.stop)
        self.cache = Cache(cache_port)
        self._cleanup.callback(self.cache.stop)
        self.billing = Billing(billing_port)
        self._cleanup.callback(self.billing.stop)
        self._configure()
        self._serve()

    def _configure(self) -> None:
        auditor = pyrage.x25519.Identity.generate()
        _private(self.root / "auditor" / "auditor.key", str(auditor))
        secrets = {"shop.password": self.shop.password, "cache.password": self.cache.password}
        for name, value in {**secrets, "billing.key": self.billing.key}.items():
            _private(self.root / "gateway" / name, value)
        source = files(__package__).joinpath("shop")
        text = source.joinpath("tidegate.yaml").read_text()
        for written, actual in self._ports.items():
            text = text.replace(f"127.0.0.1:{written}", f"127.0.0.1:{actual}")
        text = _AUDITOR.sub(str(auditor.to_public()), text)
        (self.root / "gateway" / "tidegate.yaml").write_text(text)
        (self.root / "gateway" / "policy.yaml").write_text(source.joinpath("policy.yaml").read_text())

    def _serve(self) -> None:
        self.log = self.root / "gateway" / "serve.log"
        with self.log.open("wb") as log:
            self._gateway = subprocess.Popen(
                [sys.executable, "-m", "tidegate", "serve", "--config", "tidegate.yaml"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.root / "gateway",
                start_new_session=True,
            )
        self._cleanup.callback(self._stop)
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and self._gateway.poll() is None:
            if found := _CODE.search(self.log.read_text()):
                self.bootstrap_code = found[1]
                return
            time.sleep(0.05)
        raise ResourceError("the gateway did not come up", hint=self._last_words(), code="demo.gateway")

    def _stop(self) -> None:
        self._gateway.send_signal(signal.SIGTERM)
        try:
            self._gateway.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._gateway.kill()
            self._gateway.wait()

    def _last_words(self) -> str:
        lines = self.log.read_text().strip().splitlines()
        return "The gateway's last words: " + " / ".join(lines[-5:])


def port(preferred: int) -> int:
    """``preferred`` if nobody listens there, else a free port of loopback."""
    for wanted in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", wanted))
            except OSError:
                continue
            free: int = probe.getsockname()[1]
            return free
    raise ResourceError("there is no free port on this machine", code="demo.port")


def _private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text + "\n")
