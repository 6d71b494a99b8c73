"""Connections that say nothing."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from tidegate.web import patience


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


async def conversation(*parts: bytes) -> bytes:
    """What a peer that sends ``parts`` and then waits gets until it is cut off."""
    config = uvicorn.Config(hello, http=patience.Patient, lifespan="off", log_config=None)
    config.load()
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(lambda: patience.Patient(config, state, {}), "127.0.0.1")
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.writelines(parts)
        heard = b""
        with contextlib.suppress(ConnectionResetError):
            while part := await reader.read(1000):
                heard += part
        writer.close()
    return heard


@pytest.mark.parametrize("said", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET /"])
def test_a_peer_that_asks_nothing_more_is_cut_off(monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    """Silence, half a request, and half a second request all end; what was asked in full is answered."""
    monkeypatch.setattr(patience, "PATIENCE", 0.05)
    assert asyncio.run(conversation(said)).startswith(b"HTTP/1.1 200") == (b"\r\n\r\n" in said)
