"""What the tests of the HTTP wire say: heads, a site that understands by words, and a wire that knows both."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from playbook import Playbook, Watcher
from tidegate.errors import ResourceError
from tidegate.model.operation import Facts, Verb
from tidegate.wire.body import Body
from tidegate.wire.http import HttpWire
from tidegate.wire.http_credential import Login
from tidegate.wire.http_forward import Sender
from tidegate.wire.http_head import Head
from tidegate.wire.http_places import Origin
from tidegate.wire.http_requests import Site
from tidegate.wire.http_responses import Open

HOST = b"api.internal:8080"
TOKEN = "token-of-the-agent"
SECRET = b"secret-of-the-upstream"
LOGIN = Login(b"Authorization: Bearer " + SECRET + b"\r\n", b"Authorization: Bearer xxxxxxxxxxxxxxxxxxxxxx\r\n")


class Said:
    """A request whose target is taken as it is; one with ``body`` in it is judged by its body too."""

    def __init__(self, method: str, target: bytes) -> None:
        self._method = method
        self.target = target
        self.template = f"{method} {target.decode().partition('?')[0]}"
        self.wants_body = b"body" in target

    def classify(self, body: bytes | None) -> Facts:
        reads = self._method in ("GET", "HEAD", "OPTIONS")
        text = f"{self._method} {self.target.decode()}"
        return Facts(Verb.READ if reads else Verb.WRITE, self._method.lower(), text, effect=not reads)

    def field(self, path: str) -> str:
        return path.replace("alias", "real")


class Words:
    """A site that understands by words."""

    def asked(self, head: Head, target: bytes) -> Said:
        return Said(head.method.decode(), target)


def request(method: str = "GET", target: str = "/", *fields: str, body: bytes = b"", host: str = "gw") -> bytes:
    """The bytes of a request; a body gets its length."""
    length = [f"Content-Length: {len(body)}"] if body else []
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", f"Authorization: Bearer {TOKEN}", *fields, *length]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def sent(method: str = "GET", target: str = "/", *fields: str, framing: str = "", body: bytes = b"") -> bytes:
    """What goes upstream of it."""
    before = [f"{method} {target} HTTP/1.1", f"Host: {HOST.decode()}", LOGIN.line.decode().strip()]
    after = ["Accept-Encoding: identity", *([framing] if framing else []), "Via: 1.1 tidegate"]
    return "\r\n".join([*before, *fields, *after]).encode() + b"\r\n\r\n" + body


def answer(status: str = "200 OK", *fields: str, body: bytes = b"", length: bool = True) -> bytes:
    """The bytes of an answer."""
    said = [f"Content-Length: {len(body)}"] if length else []
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, *said]).encode() + b"\r\n\r\n" + body


def chunks(*parts: bytes) -> bytes:
    """A body in chunks."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def wire(
    *,
    site: Site | None = None,
    open: Open | None = None,
    search: Callable[[bytes, bool], bytes] = lambda data, more: data,
    masked: bool = False,
    prefix: bytes = b"",
    limit: int = 1000,
    websocket: bool = False,
    mine: Callable[[Head], bytes | None] = lambda head: head.target,
    away: bool = False,
) -> HttpWire:
    """A wire for one resource at ``prefix``."""
    return HttpWire(
        site or Words(),
        Sender(HOST, LOGIN, masked),
        Origin("http", HOST.decode(), prefix, away),
        mine,
        open or Passing(),
        search,
        limit=limit,
        token=TOKEN,
        websocket=websocket,
        approval=lambda id: f"https://gw/approvals/{id}",
    )


def play(results: Watcher | None = None, **words: object) -> Playbook:
    """A conversation over such a wire."""
    return Playbook(wire(**words), results, show=lambda data: data.decode("latin-1").splitlines())  # type: ignore[arg-type]


class Shout:
    """A body that is masked into capitals, but for one that must not pass."""

    changed: Mapping[str, int] = {"$.loud": 1}

    def feed(self, data: bytes) -> bytes:
        if b"forbidden" in data:
            raise ResourceError("it cannot be masked", code="resource.binary")
        return data.upper()

    def end(self) -> bytes:
        return b"!"


class Shouting:
    """Every body shouts."""

    def __call__(self, _head: Head, _exchange: object, _results: object) -> Body:
        return Shout()

    def message(self, _media: str, _exchange: object, _results: object) -> Body:
        return Shout()


class Passing:
    """Every body passes."""

    def __call__(self, _head: Head, _exchange: object, _results: object) -> None:
        return None

    def message(self, _media: str, _exchange: object, _results: object) -> None:
        return None


shouting = Shouting()


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """``data`` in pieces of these sizes, the last of all that is left."""
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [piece for piece in [*pieces, data] if piece]
