"""What notices are sent to, in tests: a web server that remembers, a double of Slack's API, and a real mail server.

The double keeps to docs.slack.dev: 200 with ``ok: false`` and an error's name, 429 with Retry-After at a limit,
messages named by ``channel`` and ``ts``, and the limits of Block Kit; what Slack would refuse, it refuses.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from certificates import Pair


@dataclass(frozen=True)
class Request:
    """What was posted: path, headers in lower case, body."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """What is answered; ``wait`` is for an event before that."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    wait: threading.Event | None = None


class Receiver:
    """A web server on loopback. ``answers`` are given first, then 200. Start with ``with``."""

    def __init__(self, pair: Pair | None = None, host: str = "127.0.0.1") -> None:
        self.requests: list[Request] = []
        self.answers: deque[Answer] = deque()
        self._arrived = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = int(self.headers.get("content-length", "0"))
                headers = {name.lower(): value for name, value in self.headers.items()}
                answer = receiver.take(Request(self.path, headers, self.rfile.read(size)))
                if answer.wait is not None:
                    answer.wait.wait(60)
                self.send_response(answer.status)
                for name, value in {"content-length": str(len(answer.body)), **answer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer((host, 0), Handler)
        self._server.daemon_threads = True
        if pair is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(pair.certificate, pair.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self.url = f"{'https' if pair else 'http'}://{host}:{self.port}"

    def __enter__(self) -> Receiver:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def take(self, request: Request) -> Answer:
        """Remember, and answer."""
        with self._arrived:
            answer = self.answers.popleft() if self.answers else self.answered(request)
            self.requests.append(request)
            self._arrived.notify_all()
        return answer

    def answered(self, request: Request) -> Answer:
        """What is answered when nothing else is prepared."""
        return Answer()

    def wait(self, count: int, patience: float = 30) -> list[Request]:
        """The requests, once there are so many."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.requests) >= count, patience), self.requests
            return list(self.requests)


class SlackDouble(Receiver):
    """``messages`` by channel and ts; replies carry ``thread_ts``."""

    TOKEN = "xoxb-a-token-of-the-test"
    CHANNEL, TEAM = "C0TEST", "T0TEST"

    def __init__(self) -> None:
        super().__init__()
        self.messages: dict[tuple[str, str], dict[str, Any]] = {}
        self.whispers: list[dict[str, Any]] = []
        self._count = 0

    def answered(self, request: Request) -> Answer:
        """As Slack answers."""
        found = self._call(request)
        return Answer(200, json.dumps(found).encode(), {"content-type": "application/json; charset=utf-8"})

    def limit(self, seconds: int) -> None:
        """Answer the next request as at a limit."""
        self.answers.append(Answer(429, b'{"ok":false,"error":"ratelimited"}', {"retry-after": str(seconds)}))

    def refuse(self, error: str) -> None:
        """Answer the next request with an error."""
        self.answers.append(Answer(200, json.dumps({"ok": False, "error": error}).encode()))

    def top(self) -> list[dict[str, Any]]:
        """Messages that are not replies, oldest first."""
        return [message for message in self.messages.values() if "thread_ts" not in message]

    def replies(self, ts: str) -> list[str]:
        """The texts in a thread."""
        return [message["text"] for message in self.messages.values() if message.get("thread_ts") == ts]

    def _call(self, request: Request) -> dict[str, Any]:
        if request.headers.get("authorization") != f"Bearer {self.TOKEN}":
            return {"ok": False, "error": "invalid_auth"}
        if not request.headers.get("content-type", "").startswith("application/json"):
            return {"ok": False, "error": "invalid_form_data"}
        body, method = request.json, request.path.rpartition("/")[2]
        if body.get("channel") != self.CHANNEL:
            return {"ok": False, "error": "channel_not_found"}
        if not body.get("text"):
            return {"ok": False, "error": "no_text"}
        if not fits(body.get("blocks", [])):
            return {"ok": False, "error": "invalid_blocks"}
        match method:
            case "chat.postMessage":
                return self._post(body)
            case "chat.update":
                return self._update(body)
            case "chat.postEphemeral":
                self.whispers.append(body)
                return {"ok": True, "message_ts": self._name()}
        return {"ok": False, "error": "unknown_method"}

    def _name(self) -> str:
        self._count += 1
        return f"1503435956.{self._count:06d}"

    def _post(self, body: dict[str, Any]) -> dict[str, Any]:
        ts = self._name()
        if "thread_ts" in body and (body["channel"], body["thread_ts"]) not in self.messages:
            return {"ok": False, "error": "thread_not_found"}
        self.messages[body["channel"], ts] = {**body, "ts": ts}
        return {"ok": True, "channel": body["channel"], "ts": ts, "message": {"text": body["text"], "ts": ts}}

    def _update(self, body: dict[str, Any]) -> dict[str, Any]:
        message = self.messages.get((body["channel"], body.get("ts", "")))
        if message is None:
            return {"ok": False, "error": "message_not_found"}
        message.update(body)
        return {"ok": True, "channel": body["channel"], "ts": body["ts"], "text": body["text"]}


LIMITS = {"header": 150, "section": 3000, "field": 2000, "button": 75}
"""Characters of a text (docs.slack.dev, "Block Kit": header, section, button)."""


def fits(blocks: list[dict[str, Any]]) -> bool:
    """Whether Slack would take these blocks."""
    return len(blocks) <= 50 and all(_fits(block) for block in blocks)


def _fits(block: dict[str, Any]) -> bool:
    match block["type"]:
        case "header":
            return block["text"]["type"] == "plain_text" and _short(block["text"], LIMITS["header"])
        case "section":
            fields = block.get("fields", [])
            text = block.get("text")
            return (
                (text is not None or bool(fields))
                and len(fields) <= 10
                and (
                    (text is None or _short(text, LIMITS["section"]))
                    and all(_short(each, LIMITS["field"]) for each in fields)
                )
            )
        case "context":
            return len(block["elements"]) <= 10 and all(_short(each, LIMITS["section"]) for each in block["elements"])
        case "rich_text":
            return all(each["type"] == "rich_text_preformatted" for each in block["elements"])
        case "actions":
            ids = [each["action_id"] for each in block["elements"]]
            return (
                len(ids) <= 25
                and len(set(ids)) == len(ids)
                and all(
                    _short(each["text"], LIMITS["button"]) and len(each.get("value", "")) <= 2000
                    for each in block["elements"]
                )
            )
    return False


def _short(text: dict[str, Any], most: int) -> bool:
    return text["type"] in ("plain_text", "mrkdwn") and 0 < len(text["text"]) <= most


class Mailbox:
    """A real mail server (aiosmtpd) that keeps what it takes. ``user`` and ``password`` are demanded if given.

    ``tls`` is ``starttls``, ``direct`` or empty; ``refuse`` answers each mail if it is not empty.
    """

    def __init__(self, pair: Pair | None = None, *, tls: str = "", user: str = "", password: str = "") -> None:
        self.mails: list[bytes] = []
        self.recipients: list[list[str]] = []
        self.refuse = ""
        self._user, self._password = user, password
        context = None
        if pair is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(pair.certificate, pair.key)
        more: dict[str, Any] = {"tls_context": context, "require_starttls": True} if tls == "starttls" else {}
        if user:
            more |= {"authenticator": self._check, "auth_require_tls": tls == "starttls"}
        direct = {"ssl_context": context} if tls == "direct" else {}
        self._controller = Controller(self, hostname="127.0.0.1", port=_free(), **direct, **more)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._controller.port)

    def __enter__(self) -> Mailbox:
        self._controller.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._controller.stop()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """A mail has come."""
        if self.refuse:
            return self.refuse
        if self._user and not session.authenticated:
            return "530 Log in first"
        assert isinstance(envelope.content, bytes)
        self.mails.append(envelope.content)
        self.recipients.append(list(envelope.rcpt_tos))
        return "250 OK"

    def _check(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        if not isinstance(data, LoginPassword):
            return AuthResult(success=False, handled=False)
        good = data.login == self._user.encode() and data.password == self._password.encode()
        return AuthResult(success=good, handled=False)


def _free() -> int:
    from gateway import free_port

    return free_port()


def eventually(holds: Callable[[], bool], patience: float = 30) -> None:
    """Wait until something holds."""
    end = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < end, "it has not come about"
        time.sleep(0.02)
