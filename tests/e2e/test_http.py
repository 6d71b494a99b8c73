"""HTTP from end to end: real clients, a real server, a real gateway in between, and a log that verifies in the end."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import httpx
import pytest
import requests

from gateway import Gateway, Upstream, free_port
from servers import Api, Nginx

SECRET = "the-upstreams-own-secret-0123"

POLICY = """
rules:
  - id: connect
    who: {kinds: [user, agent]}
    may: [connect]
    then: allow
    for: 1h
  - id: reads
    may: [read]
    then: allow
  - id: changes
    may: [write]
    where: {command: [put, delete]}
    then: allow
  - id: sockets
    may: [execute]
    where: {command: [websocket]}
    then: allow
  - id: orders-need-a-dba
    may: [write]
    where: {command: [post]}
    then: hold
    approvers: {groups: [dba], count: 1}
    within: 60s
  - id: no-patches
    may: [write]
    where: {command: [patch]}
    then: refuse
    because: "Customers are changed elsewhere."
"""


@dataclass
class Place:
    """A gateway before the server, with tokens for its resource."""

    gateway: Gateway
    port: int
    own: int
    token: str
    directory: Path

    @property
    def url(self) -> str:
        """The resource by its path."""
        return f"http://127.0.0.1:{self.port}/r/api"

    @property
    def bearer(self) -> dict[str, str]:
        """The token as a field."""
        return {"Authorization": f"Bearer {self.token}"}

    def client(self, base: str = "") -> httpx.Client:
        """A client that keeps its connections."""
        return httpx.Client(base_url=base or self.url, headers=self.bearer, timeout=20)

    @property
    def memory(self) -> int:
        """The most memory that the gateway has used, in MiB."""
        assert self.gateway.process is not None
        status = Path(f"/proc/{self.gateway.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) // 1024

    def sessions(self) -> list[dict[str, object]]:
        """Those that are open."""
        found: list[dict[str, object]] = self.gateway.call("GET", "sessions", "alice")["items"]
        return [each for each in found if each["ended"] is None]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Whatever the tests did to it, its log must verify in the end."""
    directory = tmp_path_factory.mktemp("http")
    port, own = free_port(), free_port()
    with Api() as api, Nginx() as nginx:
        (nginx.root / "file.txt").write_bytes(b"0123456789" * 1000)
        gateway = Gateway(
            directory / "gw",
            Upstream("127.0.0.1", 1, "none", "none"),
            policy=POLICY,
            shared={"http": port},
            environment={"API_SECRET": SECRET, "NGINX_KEY": nginx.key},
            workers=1,
            resources=f"""
  api:
    protocol: http
    address: 127.0.0.1:{api.port}
    secret: env:API_SECRET
    options: {{safe: GET, opaque: ["PUT /upload", "PUT /echo", "POST /orders"], websocket: true}}
  own:
    protocol: http
    address: 127.0.0.1:{api.port}
    user: gateway
    secret: env:API_SECRET
    listen: 127.0.0.1:{own}
  loose:
    protocol: http
    address: 127.0.0.1:{api.port}
    secret: env:API_SECRET
    options: {{header: X-Api-Key, redirects: pass}}
  files:
    protocol: http
    address: 127.0.0.1:{nginx.port}
    tls: verify-full
    ca: {nginx.tls.authority}
    secret: env:NGINX_KEY
    options: {{header: X-Api-Key, host: localhost}}
  distrusted:
    protocol: http
    address: 127.0.0.1:{nginx.port}
    tls: verify-full
  down:
    protocol: http
    address: 127.0.0.1:1
  masked:
    protocol: http
    address: 127.0.0.1:{api.port}
    secret: env:API_SECRET
    options: {{safe: GET, opaque: ["PUT /echo"], websocket: true}}
    tags:
      pii.email: ["* -> $..email", "* -> header.x-user-email"]
    detect: [pii]
""",
        )
        gateway.start().people()
        yield Place(gateway, port, own, gateway.token(resource="api"), directory)
        assert gateway.stop() == 0
        assert gateway.verify() == 0


# clients


def test_curl(place: Place) -> None:
    """With the token from a file: as a bearer, as a password, and through TLS; uploads wait for 100."""
    header = place.directory / "header"
    header.write_text(f"Authorization: Bearer {place.token}\n")
    netrc = place.directory / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login agent password {place.token}\n")
    big = place.directory / "big"
    big.write_bytes(b"x" * 3_000_000)
    authority = place.gateway.data / "tls" / "certificate.pem"
    trust = ["--cacert", str(next(iter(place.gateway.data.glob("tls/*.pem")), authority))]
    secure = place.url.replace("http:", "https:")
    for words in (
        ["-H", f"@{header}", f"{place.url}/customers/1"],
        ["--netrc-file", str(netrc), f"{place.url}/customers/1"],
        ["-k", "-H", f"@{header}", f"{secure}/customers/1", *trust],
        ["--http2", "-H", f"@{header}", f"{place.url}/customers/1"],
        ["--http1.0", "-H", f"@{header}", f"{place.url}/customers/1"],
        ["-H", f"Host: api.gw.example:{place.port}", "-H", f"@{header}", f"http://127.0.0.1:{place.port}/customers/1"],
        ["--compressed", "-H", f"@{header}", f"{place.url}/customers/1"],
        ["--proxy", f"http://agent:{place.token}@127.0.0.1:{place.port}", "http://api.gw.example/customers/1"],
    ):
        assert json.loads(curl(*words))["name"] == "Customer 1", words
    done = json.loads(curl("-H", f"@{header}", "-T", str(big), f"{place.url}/upload"))
    assert done == {"size": 3_000_000, "sha256": hashlib.sha256(b"x" * 3_000_000).hexdigest()}
    assert "401" in curl("-o", "/dev/null", "-w", "%{http_code}", f"{place.url}/customers/1")


def curl(*words: str) -> str:
    """What curl prints."""
    clean = {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(["curl", "-sS", *words], capture_output=True, text=True, check=False, env=clean)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_requests(place: Place) -> None:
    """Several requests on one connection, and a streamed upload."""
    with requests.Session() as session:
        session.trust_env = False
        session.headers.update(place.bearer)
        assert session.get(f"{place.url}/customers", timeout=10).json()[1]["city"] == "Oslo"
        assert session.head(f"{place.url}/customers/1", timeout=10).headers["content-length"] == "108"
        assert session.options(f"{place.url}/echo", timeout=10).status_code == 200
        sent = session.put(f"{place.url}/upload", data=(b"a" * 50_000 for _ in range(5)), timeout=10)
        assert sent.json()["size"] == 250_000
        assert session.put(f"{place.url}/echo", data=b"said", timeout=10).content == b"said"


def test_aiohttp(place: Place) -> None:
    """Many requests at a time."""

    async def go() -> list[int]:
        async with aiohttp.ClientSession(headers=place.bearer) as session:

            async def one(number: int) -> int:
                async with session.get(f"{place.url}/customers/{number}") as answer:
                    found: dict[str, int] = await answer.json()
                    return found["id"]

            return list(await asyncio.gather(*(one(1 + n % 50) for n in range(60))))

    assert asyncio.run(go()) == [1 + n % 50 for n in range(60)]


def test_node_fetch(place: Place) -> None:
    """Reads, a body that is sent, and a stream that is read to its end."""
    script = """
const [url, token] = [process.env.URL, process.env.TOKEN];
const headers = {authorization: `Bearer ${token}`};
const one = await (await fetch(`${url}/customers/1`, {headers})).json();
const said = await (await fetch(`${url}/echo`, {method: 'PUT', headers, body: 'said'})).text();
let size = 0;
for await (const piece of (await fetch(`${url}/download?size=300000&chunked`, {headers})).body) size += piece.length;
console.log(one.name, said, size);
"""
    done = subprocess.run(
        ["node", "--input-type=module", "-e", script],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "URL": place.url, "TOKEN": place.token},
    )
    assert done.stdout == "Customer 1 said 300000\n", done.stderr


def test_a_browser(place: Place) -> None:
    """With the token as a password, as it asks a person for one."""
    address = f"http://agent:{place.token}@127.0.0.1:{place.port}/r/api/customers/1"
    words = [
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={place.directory / 'chromium'}",
    ]
    done = subprocess.run([*words, "--dump-dom", address], capture_output=True, text=True, check=False, timeout=60)
    assert "Customer 1" in done.stdout, done.stderr


# sessions


def test_a_connection_carries_several_sessions(place: Place) -> None:
    """A refreshed token, and another resource, on the connection that is there; a bad token is told so."""
    other, third = place.gateway.token(resource="api"), place.gateway.token(resource="loose")
    with raw(place.port) as line:
        for token, resource in ((place.token, "api"), (other, "api"), (third, "loose"), (other, "api")):
            assert b"Customer 1" in ask(line, f"/r/{resource}/customers/1", token)
        assert ask(line, "/r/loose/customers/1", other).startswith(b"HTTP/1.1 401 ")
        assert line.recv(10) == b""


def test_an_upstream_that_closes_between_requests_loses_nobody(place: Place) -> None:
    """The agent's connection stays, and its next request is answered over a new one upstream."""
    with raw(place.port) as line:
        for _ in range(2):
            assert b"last" in ask(line, "/r/api/last", place.token)
            time.sleep(0.1)
        assert b"Customer 2" in ask(line, "/r/api/customers/2", place.token)


def test_nginx(place: Place) -> None:
    """Over TLS that is verified; it closes its connection after every third request, which nobody notices."""
    token = place.gateway.token(resource="files")
    with raw(place.port) as line:
        for _ in range(10):
            assert ask(line, "/r/files/proven/file.txt", token).endswith(b"0123456789")
        time.sleep(1.1)
        assert ask(line, "/r/files/proven/file.txt", token).endswith(b"0123456789")
    headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": "gzip"}
    with httpx.Client(base_url=f"http://127.0.0.1:{place.port}/r/files", headers=headers) as client:
        whole = client.get("/file.txt")
        assert "content-encoding" not in whole.headers and len(whole.content) == 10_000
        assert client.get("/file.txt", headers={"Range": "bytes=5-7"}).text == "567"
        assert client.get("/file.txt", headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
        assert client.get("/none").status_code == 404
        assert client.head("/file.txt").headers["content-length"] == "10000"


def test_a_server_that_cannot_be_trusted_or_reached(place: Place) -> None:
    """Is a 502 that names no address."""
    for resource, code in (("distrusted", "resource.failed"), ("down", "resource.unreachable")):
        headers = {"Authorization": f"Bearer {place.gateway.token(resource=resource)}"}
        answer = httpx.get(f"http://127.0.0.1:{place.port}/r/{resource}/", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (502, code) and "127.0.0.1" not in answer.text


def test_pipelined_requests_are_answered_in_order(place: Place) -> None:
    """Whatever is decided about each."""
    methods = ["GET", "PATCH", "GET", "PUT", "GET"]
    with raw(place.port) as line:
        line.sendall(b"".join(head("/r/api/echo?" + str(n), place.token, method) for n, method in enumerate(methods)))
        found = [read(line).partition(b"\r\n")[0] for _ in methods]
    assert found == [b"HTTP/1.1 200 OK", b"HTTP/1.1 403 Forbidden", *[b"HTTP/1.1 200 OK"] * 3]


def test_a_port_of_its_own(place: Place) -> None:
    """Needs no name; the credential goes as Basic where there is a user."""
    token = place.gateway.token(resource="own")
    answer = httpx.get(f"http://127.0.0.1:{place.own}/headers", headers={"Authorization": f"Bearer {token}"})
    given = answer.json()["headers"]["Authorization"]
    assert answer.json()["path"] == "/headers" and given.startswith("Basic ") and "xxxxxxxx" in given


def test_a_proxys_authorization(place: Place) -> None:
    """Carries the token as well, and neither goes upstream."""
    fields = {"Proxy-Authorization": f"Bearer {place.token}", "Authorization": "Bearer of-somebody"}
    found = httpx.get(f"{place.url}/headers", headers=fields).json()["headers"]
    assert "Proxy-Authorization" not in found and found["Authorization"] == "Bearer " + "x" * len(SECRET)


# verdicts


def test_a_refusal_is_a_problem(place: Place) -> None:
    """With a rule, a hint and the request's id, and the connection goes on; a long refused body is in no one's way."""
    with place.client() as client:
        answer = client.patch("/customers/1", json={"name": "x"})
        assert answer.status_code == 403 and answer.headers["content-type"] == "application/problem+json"
        found = answer.json()
        assert (found["code"], found["rule"]) == ("policy.refused", "no-patches") and found["request"]
        assert found["detail"] == "Customers are changed elsewhere."
        assert client.patch("/customers/1", content=(b"x" * 60_000 for _ in range(40))).status_code == 403
        assert client.get("/customers/1").status_code == 200


def test_a_held_request_waits(place: Place) -> None:
    """Until somebody says yes; its body is what they saw."""
    with place.client() as client:
        answers: list[httpx.Response] = []
        asking = threading.Thread(target=lambda: answers.append(client.post("/orders", content=b"one order")))
        asking.start()
        approve(place, waiting(place, "one order"))
        asking.join(20)
        assert answers[0].status_code == 201 and "one order" in answers[0].text


def test_a_held_request_may_be_sent_again(place: Place) -> None:
    """202 with the address of its approval; the same request runs once after the yes."""
    with place.client() as client:
        prefer = {"Prefer": "respond-async"}
        first = client.post("/orders", content=b"later", headers=prefer)
        assert first.status_code == 202 and first.headers["preference-applied"] == "respond-async"
        approval = first.headers["location"].rpartition("/")[2]
        assert client.post("/orders", content=b"later", headers=prefer).headers["location"].endswith(approval)
        at = f"http://127.0.0.1:{place.port}{first.headers['location']}"
        assert client.get(at).json()["state"] == "waiting"
        assert client.get(f"{at}x").status_code == 404
        own = {"Authorization": f"Bearer {place.gateway.token(resource='loose')}"}
        assert httpx.get(at.replace("/r/api/", "/r/loose/"), headers=own).json()["code"] == "approval.unknown"
        approve(place, approval)
        assert client.get(at, headers={"Prefer": "wait=1"}).json()["state"] == "approved"
        assert client.post("/orders", content=b"later", headers=prefer).status_code == 201
        assert client.post("/orders", content=b"later", headers=prefer).status_code == 202
        short = client.post("/orders", content=b"impatient", headers={"Prefer": "wait=1"})
        assert short.status_code == 403 and short.json()["code"] == "approval.pending"


def test_what_is_too_long_to_be_shown_cannot_be_approved(place: Place) -> None:
    """It is refused at once."""
    with place.client() as client:
        answer = client.post("/orders", content=b"x" * 500_000)
        assert answer.status_code == 403 and answer.json()["code"] == "approval.unbound"


def waiting(place: Place, words: str) -> str:
    """The id of the approval that waits for a request with this body."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        for each in place.gateway.call("GET", "approvals", "bob")["items"]:
            if each["state"] == "waiting" and words in each["parameters"]:
                return str(each["id"])
        time.sleep(0.05)
    raise AssertionError("nothing waits")


def approve(place: Place, approval: str) -> None:
    """bob looks at it and says yes."""
    place.gateway.call("GET", f"approvals/{approval}", "bob")
    place.gateway.call("POST", f"approvals/{approval}/approve", "bob")


# masks


@pytest.mark.parametrize("form", ["json", "ndjson", "csv", "sse"])
@pytest.mark.parametrize("coding", ["", "gzip", "br"])
def test_masks(place: Place, form: str, coding: str) -> None:
    """Tagged fields and what detectors find are masked in every form, also where a server compresses unasked."""
    with masked(place) as client:
        answer = client.get("/customers", params={"form": form, "coding": coding}, headers={"Accept-Encoding": "gzip"})
        assert answer.status_code == 200 and answer.text.count("[masked:email ") == 50, answer.text[:500]
        assert "@mail.example" not in answer.text and "4111" not in answer.text and answer.text.count("Oslo") == 50
        assert answer.headers["x-user-email"].startswith("[masked:email")
        assert not {"etag", "content-encoding", "content-length"} & set(answer.headers)
        if form == "json":
            assert [each["id"] for each in answer.json()] == list(range(1, 51))


def test_masks_in_a_stream(place: Place) -> None:
    """Each event is masked as it comes."""
    with masked(place) as client, client.stream("GET", "/events") as answer:
        lines = [line for line, _ in zip(answer.iter_lines(), range(9), strict=False)]
    assert sum("[masked:email" in line for line in lines) == 3 and not any("@" in line for line in lines)


def test_masks_are_counted_and_never_taken_back(place: Place) -> None:
    """The outcome says how many; a mask that comes back in a body is refused."""
    with masked(place) as client:
        email = client.get("/customers/1").json()["email"]
        assert email.startswith("[masked:email ")
        refused = client.put("/echo", content=email.encode())
        assert refused.status_code == 403 and refused.json()["code"] == "masking.refused"
    sid = place.gateway.call("GET", "sessions", "alice")["items"][0]["sid"]
    assert place.gateway.call("GET", f"sessions/{sid}", "alice")["masked"] >= 2


def test_what_cannot_be_masked_is_withheld(place: Place) -> None:
    """Binary, and text without fields; the connection goes on."""
    with masked(place) as client:
        for path in ("/download?size=10", "/last"):
            answer = client.get(path)
            assert answer.status_code == 502 and answer.json()["code"] == "resource.binary"
        assert client.get("/none").json()["code"] == "resource.binary"
        assert client.get("/none").status_code == 404
        assert client.get("/customers/2").json()["id"] == 2


def masked(place: Place) -> httpx.Client:
    """A client of the resource with tags."""
    headers = {"Authorization": f"Bearer {place.gateway.token(resource='masked')}"}
    return httpx.Client(base_url=f"http://127.0.0.1:{place.port}/r/masked", headers=headers, timeout=20)


# what must not escape


def test_the_credential_never_comes_back(place: Place) -> None:
    """Not from a page of headers, not in a header, and not compressed."""
    with place.client() as client:
        for path in ("/headers", "/headers?coding=gzip", "/echo"):
            answer = client.put(path, content=b"x") if path == "/echo" else client.get(path)
            assert SECRET not in answer.text and SECRET not in str(answer.headers)
        for path in ("/letters", "/letters?coding=gzip"):
            assert client.get(path).json() == {"given": "Bearer " + "x" * len(SECRET)}
        assert client.get("/headers").headers["x-echo"] == "Bearer " + "x" * len(SECRET)
        assert client.request("TRACE", "/headers").status_code == 501
    alerts = place.gateway.call("GET", "audit/leaves?kind=alert.raised&limit=100", "alice")["items"]
    assert any(leaf["code"] == "credential.echoed" for leaf in alerts)


def test_redirects_and_cookies_stay_at_the_gateway(place: Place) -> None:
    """A redirect elsewhere is withheld, unless the operator says so; a cookie is below the resource's path."""
    with place.client() as client:
        answer = client.get("/redirect", params={"to": "/customers/1"}, follow_redirects=True)
        assert answer.json()["id"] == 1 and str(answer.url).startswith(place.url)
        answer = client.get("/redirect", params={"to": "https://evil.example/?secret=1"})
        assert answer.status_code == 502 and answer.json()["code"] == "resource.redirect" and "evil" not in answer.text
        answer = client.get("/cookie", headers={"Cookie": "tidegate=1; mine=2"})
        assert answer.json() == {"mine": "2"} and answer.headers["set-cookie"] == "visit=1; Path=/r/api/"
        assert not {"alt-svc", "strict-transport-security"} & set(answer.headers)
    loose = {"Authorization": f"Bearer {place.gateway.token(resource='loose')}"}
    at = f"http://127.0.0.1:{place.port}/r/loose"
    away = httpx.get(f"{at}/redirect", params={"to": "https://other.example/"}, headers=loose)
    assert away.headers["location"] == "https://other.example/"
    found = httpx.get(f"{at}/headers", headers=loose).json()["headers"]
    assert "Authorization" not in found and found["X-Api-Key"] == "x" * len(SECRET)


@pytest.mark.parametrize(
    "lines",
    [
        ["Transfer-Encoding: chunked", "Content-Length: 4"],
        ["Transfer-Encoding: xchunked"],
        ["Content-Length: 4", "Content-Length: 4"],
        ["Content-Length : 4"],
        ["Content-Length: +4"],
        ["X: 1", " folded"],
    ],
)
def test_smuggling_ends_at_the_gateway(place: Place, lines: list[str]) -> None:
    """One answer, and the connection is closed: nothing of what follows is a request to anybody."""
    with raw(place.port) as line:
        inner = head("/r/api/customers/1", place.token)
        line.sendall(head("/r/api/echo", place.token, "PUT", *lines) + b"0\r\n\r\n" + inner)
        told = everything(line)
    assert told.startswith(b"HTTP/1.1 400 ") and told.count(b"HTTP/1.1 ") == 1 and b"Customer" not in told


def test_other_hosts_are_out_of_reach(place: Place) -> None:
    """An absolute target and CONNECT lead nowhere else."""
    for first in ("GET http://169.254.169.254/", "GET http://127.0.0.1:22/", "CONNECT 127.0.0.1:22"):
        with raw(place.port) as line:
            host = first.split(" ")[1].removeprefix("http://").rstrip("/")
            line.sendall(f"{first} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {place.token}\r\n\r\n".encode())
            assert everything(line)[:12] in (b"HTTP/1.1 421", b"HTTP/1.1 400", b"HTTP/1.1 501")


# size and time


def test_gigabytes_pass_in_constant_memory(place: Place) -> None:
    """Each direction, with everything recorded."""
    with place.client() as client:
        client.get("/customers/1")
        before = place.memory
        with client.stream("GET", "/download", params={"size": 300_000_000}) as answer:
            assert sum(map(len, answer.iter_raw(1 << 20))) == 300_000_000
        sent = client.put("/upload", content=(bytes(1 << 20) for _ in range(200)))
        assert sent.json()["size"] == 200 << 20
        assert place.memory - before < 150, f"{before} MiB before, {place.memory} MiB after"


def test_events_pass_as_they_come(place: Place) -> None:
    """A stream without an end is no pending request, and whoever leaves it ends its session."""
    with place.client() as client, client.stream("GET", "/events") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "id: 1" and sum("data:" in next(lines) for _ in range(8)) >= 2
        assert [each["state"] for each in place.sessions()].count("busy") == 0


def test_a_killed_download_does_not_look_complete(place: Place) -> None:
    """The agent sees that bytes are missing."""
    with place.client() as client, client.stream("GET", "/download?size=100000000&slowly&chunked") as answer:
        pieces = answer.iter_raw()
        next(pieces)
        for each in place.sessions():
            place.gateway.call("POST", f"sessions/{each['sid']}/kill", "alice", reason="enough")
        with pytest.raises(httpx.TransportError):
            list(pieces)


def test_websockets(place: Place) -> None:
    """Both ways, short and long, without the credential; masked where there are tags; killed with a reason."""
    text = json.dumps({"email": "person1@mail.example", "id": 1})

    async def go(resource: str) -> tuple[list[str], int, int]:
        url = f"http://127.0.0.1:{place.port}/r/{resource}/socket"
        token = place.token if resource == "api" else place.gateway.token(resource=resource)
        headers = {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession(headers=headers) as session, session.ws_connect(url) as line:
            heard = []
            for said in (text, f"x{SECRET}x"):
                await line.send_str(said)
                heard.append((await line.receive()).data)
                if resource == "masked":
                    break
            size = 0
            if resource == "api":
                await line.send_bytes(bytes(500_000))
                size = len((await line.receive()).data)
            for each in await asyncio.to_thread(place.sessions):
                kill = f"sessions/{each['sid']}/kill"
                await asyncio.to_thread(place.gateway.call, "POST", kill, "alice", reason="enough")
            return heard, size, (await line.receive()).data

    assert asyncio.run(go("api")) == ([text, "x" + "x" * len(SECRET) + "x"], 500_000, 1008)
    heard, _, code = asyncio.run(go("masked"))
    assert (
        json.loads(heard[0])["email"].startswith("[masked:email") and json.loads(heard[0])["id"] == 1 and code == 1008
    )


# raw lines


@contextlib.contextmanager
def raw(port: int) -> Iterator[socket.socket]:
    """A connection without a client."""
    with socket.create_connection(("127.0.0.1", port), 10) as line:
        yield line


def head(target: str, token: str, method: str = "GET", *lines: str) -> bytes:
    """A request's head."""
    first = [f"{method} {target} HTTP/1.1", "Host: gw", f"Authorization: Bearer {token}", *lines]
    return "\r\n".join(first).encode() + b"\r\n\r\n"


def ask(line: socket.socket, target: str, token: str) -> bytes:
    """One request and its answer."""
    line.sendall(head(target, token))
    return read(line)


def read(line: socket.socket) -> bytes:
    """One answer, whose body has a length or chunks."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += line.recv(1)
    if b"chunked" in data:
        while not data.endswith(b"0\r\n\r\n"):
            data += line.recv(1)
        return data
    size = int(data.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while size:
        piece = line.recv(size)
        data, size = data + piece, size - len(piece)
    return data


def everything(line: socket.socket) -> bytes:
    """All until the other side closes."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := line.recv(65536):
            data += piece
    return data


def test_tls(place: Place) -> None:
    """From the first byte, for this protocol only."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for protocols, said in ((["http/1.1"], b"200 OK"), ([], b"200 OK"), (["postgresql"], b"agent.alpn")):
        if protocols:
            context.set_alpn_protocols(protocols)
        with raw(place.port) as line, context.wrap_socket(line) as secure:
            assert said in ask(secure, "/r/api/customers/1", place.token)
