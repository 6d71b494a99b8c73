"""What requests mean, through a real gateway: what is not understood reaches no server, what is tagged comes masked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from gateway import Gateway, Upstream, free_port

DOCUMENT = Path(__file__).parents[2] / "examples" / "billing" / "openapi.yaml"
BOB = {"id": 1, "name": "Bob", "email": "zqbob@example.org", "iban": "DE89370400440532013000"}
ANSWERS: dict[str, object] = {
    "/v1/customers": {"items": [BOB], "next": "x"},
    "/v1/customers/1": BOB,
    "/graphql": {"data": {"u": [{"mail": BOB["email"], "name": "Bob"}], "users": [{"email": BOB["email"]}]}},
}
POLICY = """
rules:
  - {id: connect, who: {kinds: [user, agent]}, may: [connect], then: allow, for: 1h}
  - {id: reads, may: [read], then: allow}
  - {id: notes, may: [write], where: {objects: ["PUT /notes/{id}"], fields: [body_text, body_email]}, then: allow}
"""


@dataclass
class Spy:
    """A server that remembers what reached it."""

    seen: list[str] = field(default_factory=list)

    def handler(spy) -> type[BaseHTTPRequestHandler]:
        """Answers by path."""

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", 0)))
                spy.seen.append(f"{self.command} {self.path}")
                body = json.dumps(ANSWERS.get(self.path.partition("?")[0], {})).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_DELETE = _answer

            def log_message(self, *_: object) -> None:
                """Nothing."""

        return Handler


@dataclass
class Place:
    """A gateway before the spy."""

    base: str
    token: str
    spy: Spy

    def ask(self, method: str, path: str, body: object = None, kind: str = "application/json") -> httpx.Response:
        """Send a target as it is written, which no client tidies."""
        headers = {"Authorization": f"Bearer {self.token}"} | ({"Content-Type": kind} if body is not None else {})
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        with httpx.Client(timeout=20, trust_env=False) as client:
            request = client.build_request(method, self.base, headers=headers, content=data)
            prefix = httpx.URL(self.base).raw_path
            request.extensions["target"] = prefix + path.encode()
            return client.send(request)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Place]]:
    """Three resources at one server: by its document, GraphQL, and by templates; the log verifies in the end."""
    directory, port, spy = tmp_path_factory.mktemp("operations"), free_port(), Spy()
    server = ThreadingHTTPServer(("127.0.0.1", 0), spy.handler())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"protocol: http\n    address: 127.0.0.1:{server.server_port}"
    gateway = Gateway(
        directory / "gw",
        Upstream("127.0.0.1", 1, "none", "none"),
        policy=POLICY,
        shared={"http": port},
        workers=1,
        resources=f"""
  billing:
    {address}
    options: {{openapi: {DOCUMENT}}}
  graph:
    {address}
    options: {{graphql: [/graphql], safe: ["POST /graphql"]}}
    tags:
      pii.email: ["POST /graphql -> $..email"]
  notes:
    {address}
    options: {{paths: ["/notes/{{id}}"]}}
    tags:
      pii.email: ["GET /notes -> query.email"]
""",
    )
    gateway.start().people()
    names = ("billing", "graph", "notes")
    yield {name: Place(f"http://127.0.0.1:{port}/r/{name}", gateway.token(resource=name), spy) for name in names}
    assert gateway.stop() == 0
    assert gateway.verify() == 0
    server.shutdown()
    server.server_close()


def test_a_document_says_what_there_is_and_what_is_tagged(places: dict[str, Place]) -> None:
    """Its operations pass with masks; what is not in it never reaches the server."""
    place = places["billing"]
    (item,) = place.ask("GET", "/v1/customers?limit=5").json()["items"]
    assert (item["id"], item["name"]) == (1, "Bob")
    assert item["email"].startswith("[masked:email ") and item["iban"] == "[masked:iban]"
    assert place.ask("GET", "/v1/customers/1").json()["email"] == item["email"]
    before = list(place.spy.seen)
    for method, path in (("GET", "/v1/admin"), ("GET", "/v1/customers?admin=1"), ("DELETE", "/v1/customers/1"),
                         ("GET", "/customers"), ("POST", "/v1/customers/1")):  # fmt: skip
        answer = place.ask(method, path)
        assert (answer.status_code, answer.json()["code"]) == (403, "policy.refused"), path
    assert place.spy.seen == before


def test_graphql_is_masked_under_any_alias(places: dict[str, Place]) -> None:
    """A tagged field is masked whatever the answer calls it; changes and batches are refused."""
    place = places["graph"]
    data = place.ask("POST", "/graphql", {"query": "{u:users{mail:email name} users{email}}"}).json()["data"]
    assert data["u"][0]["name"] == "Bob"
    assert data["u"][0]["mail"] == data["users"][0]["email"]
    assert data["u"][0]["mail"].startswith("[masked:email ")
    before = list(place.spy.seen)
    for body in ({"query": "mutation{drop}"}, [{"query": "{a}"}], {"id": "1"}, {"query": "{a @defer}"}):
        assert place.ask("POST", "/graphql", body).status_code == 403, body
    assert place.spy.seen == before


@pytest.mark.parametrize(
    ("method", "path", "body", "kind", "status", "code"),
    [
        ("PUT", "/notes/%2e%2e/admin", {"text": "a"}, "application/json", 400, "http.path"),
        ("PUT", "/notes//7", {"text": "a"}, "application/json", 400, "http.path"),
        ("PUT", "/notes/7;x=1", {"text": "a"}, "application/json", 400, "http.path"),
        ("PUT", "/notes/a%2fb", {"text": "a"}, "application/json", 400, "http.path"),
        ("PUT", "/notes/7?_method=DELETE", {"text": "a"}, "application/json", 403, "policy.refused"),
        ("PUT", "/notes/7", b'{"text":"a","text":"b"}', "application/json", 403, "policy.refused"),
        ("PUT", "/notes/7", {"text": "a", "role": "admin"}, "application/json", 403, "policy.refused"),
        ("PUT", "/notes/7", {"text": "a"}, "text/plain", 403, "policy.refused"),
        ("PUT", "/notes", {"text": "a"}, "application/json", 403, "policy.refused"),
        ("PUT", "/notes/7", b'{"email":"\\u005bmasked:email ab]"}', "application/json", 403, "masking.refused"),
        (
            "PUT",
            "/notes/7",
            b"email=%5Bmasked%3Aemail+ab%5D",
            "application/x-www-form-urlencoded",
            403,
            "masking.refused",
        ),
        ("GET", "/notes?email=zq", None, "", 403, "masking.refused"),
    ],
)
def test_what_is_refused_reaches_nobody(
    places: dict[str, Place], method: str, path: str, body: object, kind: str, status: int, code: str
) -> None:
    """Evasions, fields that are not in the list, masks sent back, and searching by what is tagged."""
    place = places["notes"]
    before = list(place.spy.seen)
    answer = place.ask(method, path, body, kind)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert place.spy.seen == before


def test_what_is_allowed_arrives_in_its_one_spelling(places: dict[str, Place]) -> None:
    """The server reads the path that was judged."""
    place = places["notes"]
    assert place.ask("PUT", "/%6eotes/%37?x", {"text": "a"}).status_code == 403
    assert place.ask("PUT", "/%6eotes/%37", {"text": "a"}).status_code == 200
    assert place.spy.seen[-1] == "PUT /notes/7"
