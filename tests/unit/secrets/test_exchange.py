"""One question to Vault: limits, redirects, and errors that repeat nothing."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

import certificates
from tidegate.errors import ConfigError, ResourceError
from tidegate.secrets import exchange
from tidegate.secrets.exchange import Answer, Exchange

T = TypeVar("T")
SAID = "a-secret-that-the-server-said"


def answering(reply: bytes, question: Callable[[Exchange], Awaitable[T]]) -> tuple[T, bytes]:
    """Ask a server that always answers ``reply``; what came of it, and what it was sent."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(reply)
        await writer.drain()
        writer.close()

    async def run() -> T:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        asking = Exchange(f"http://127.0.0.1:{port}", namespace="team/a")
        try:
            return await question(asking)
        finally:
            await asking.close()
            server.close()

    return asyncio.run(run()), b"".join(heard)


def response(status: str, body: bytes = b"{}", *headers: str) -> bytes:
    """A whole response."""
    lines = (f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close", *headers)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def read(asking: Exchange) -> Awaitable[Answer]:
    """A question with a token."""
    return asking.ask("GET", "secret/data/shop", "t-1")


def test_a_question_and_its_answer() -> None:
    """The token goes in a header, the namespace too; the answer's text shows nothing."""
    answer, heard = answering(response("200 OK", b'{"data":{"password":"hunter2"}}'), read)
    assert (answer.ok, answer.part("data"), answer.part("auth")) == (True, {"password": "hunter2"}, {})
    assert "hunter2" not in repr(answer)
    head = heard.lower()
    assert b"get /v1/secret/data/shop " in head and b"x-vault-token: t-1" in head
    assert b"x-vault-namespace: team/a" in head and b"accept-encoding: identity" in head


@pytest.mark.parametrize("status", ["400 Bad Request", "403 Forbidden", "404 Not Found"])
def test_a_no_is_an_answer(status: str) -> None:
    """What it means is for the caller to say."""
    answer, _ = answering(response(status, b'{"errors":[]}'), read)
    assert (answer.ok, answer.status) == (False, int(status[:3]))


@pytest.mark.parametrize(
    "reply",
    [
        response("307 Temporary Redirect", b"", "location: http://127.0.0.1:1/"),
        response("429 Too Many Requests"),
        response("500 Internal Server Error", SAID.encode()),
        response("503 Service Unavailable", b'{"sealed":true}'),
        response("200 OK", SAID.encode()),
        response("200 OK", b"[" * 100_000),
        response("200 OK", b'{"a":"' + b"x" * exchange.LARGEST + b'"}'),
        response("200 OK", gzip.compress(b" " * 50_000_000), "content-encoding: gzip"),
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{",
        b"nonsense\r\n\r\n",
        b"",
    ],
)
def test_an_answer_that_cannot_be_used(reply: bytes) -> None:
    """Vault counts as down; nothing that it said is repeated, nothing is followed, nothing is unpacked."""
    with pytest.raises(ResourceError) as error:
        answering(reply, read)
    assert error.value.code == "secret.unavailable"
    assert SAID not in f"{error.value.message}{error.value.hint}"


def test_silence_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes the question and says nothing is given up."""
    monkeypatch.setattr(exchange, "PATIENCE", 0.2)

    async def run() -> None:
        server = await asyncio.start_server(lambda reader, writer: asyncio.sleep(30), "127.0.0.1", 0)
        asking = Exchange(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with pytest.raises(ResourceError, match="does not answer"):
            await asking.ask("GET", "sys/health")
        await asking.close()
        server.close()

    asyncio.run(run())


def test_tls_is_verified(tmp_path: Path) -> None:
    """A certificate of an authority that is not named is not taken; a file that is no certificate is named."""
    made = certificates.issue(tmp_path)

    async def run(ca: str) -> Answer:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(made.certificate, made.key)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(response("200 OK"))
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "localhost", 0, ssl=context)
        asking = Exchange(f"https://localhost:{server.sockets[0].getsockname()[1]}", ca=ca)
        try:
            return await asking.ask("GET", "sys/health")
        finally:
            await asking.close()
            server.close()

    assert asyncio.run(run(str(made.authority))).ok
    with pytest.raises(ResourceError, match="does not answer"):
        asyncio.run(run(""))
    with pytest.raises(ConfigError, match="authorities"):
        Exchange("https://127.0.0.1:1", ca=str(tmp_path / "nothing.pem"))


def test_a_redirect_is_not_followed() -> None:
    """Not even to the very server: the token goes to the address that the operator wrote and to no path beside it."""
    heard: list[bytes] = []

    async def run() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(await reader.readuntil(b"\r\n\r\n"))
            moved = response("307 Temporary Redirect", b"{}", "location: /v1/sys/health")
            writer.write(moved if len(heard) == 1 else response("200 OK"))
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        asking = Exchange(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with pytest.raises(ResourceError):
            await read(asking)
        await asking.close()
        server.close()

    asyncio.run(run())
    assert len(heard) == 1
