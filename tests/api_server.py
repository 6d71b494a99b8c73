"""A real HTTP server of the tests' own, started as a process: `api_server.py PORT`. It believes everything it is told.

Customers have e-mail addresses, phones and cards; there are answers of every kind that a gateway has to follow: long,
endless, compressed, in chunks, as events, redirects, cookies, echoes of what was sent, and a WebSocket that says it
back.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import sys

import brotli
from aiohttp import WSMsgType, web

CUSTOMERS = [
    {"id": n, "name": f"Customer {n}", "email": f"person{n}@mail.example", "card": "4111111111111111", "city": "Oslo"}
    for n in range(1, 51)
]
PIECE = bytes(range(256)) * 256

routes = web.RouteTableDef()
seen: list[str] = []


@routes.get("/customers")
async def customers(request: web.Request) -> web.Response:
    """All of them, as JSON, lines of JSON, CSV or events; `coding` compresses."""
    form = request.query.get("form", "json")
    if form == "ndjson":
        body, kind = "".join(json.dumps(each) + "\n" for each in CUSTOMERS), "application/x-ndjson"
    elif form == "csv":
        rows = [",".join(map(str, each.values())) for each in CUSTOMERS]
        body, kind = "\n".join(["id,name,email,card,city", *rows]) + "\n", "text/csv"
    elif form == "sse":
        body, kind = "".join(f"data: {json.dumps(each)}\n\n" for each in CUSTOMERS), "text/event-stream"
    else:
        body, kind = json.dumps(CUSTOMERS), "application/json"
    data, coding = body.encode(), request.query.get("coding", "")
    headers = {"Content-Type": kind, "X-User-Email": "person1@mail.example", "ETag": '"1"'}
    if coding:
        headers["Content-Encoding"] = coding
        data = gzip.compress(data) if coding == "gzip" else brotli.compress(data)
    return web.Response(body=data, headers=headers)


@routes.get("/customers/{id}")
async def customer(request: web.Request) -> web.Response:
    """One of them."""
    return web.json_response(CUSTOMERS[int(request.match_info["id"]) - 1])


@routes.route("*", "/echo")
async def echo(request: web.Request) -> web.StreamResponse:
    """What was sent, as it comes."""
    answer = web.StreamResponse(headers={"Content-Type": request.headers.get("Content-Type", "text/plain")})
    await answer.prepare(request)
    async for piece in request.content.iter_any():
        await answer.write(piece)
    return answer


@routes.route("*", "/headers")
async def headers(request: web.Request) -> web.Response:
    """The head that came, so that credentials in it come back; `coding=gzip` hides it."""
    said = {"method": request.method, "path": request.path_qs, "headers": dict(request.headers)}
    data = json.dumps(said).encode()
    if request.query.get("coding") == "gzip":
        return web.Response(body=gzip.compress(data), headers={"Content-Encoding": "gzip"})
    answer = web.json_response(said)
    if request.headers.get("Authorization"):
        answer.headers["X-Echo"] = request.headers["Authorization"]
    return answer


@routes.get("/letters")
async def letters(request: web.Request) -> web.StreamResponse:
    """The credential that came, letter by letter, each in a chunk of its own; `coding=gzip` hides it as well."""
    said = f'{{"given": "{request.headers.get("Authorization", "")}"}}'.encode()
    answer = web.StreamResponse(headers={"Content-Type": "application/json"})
    if request.query.get("coding") == "gzip":
        said, answer.headers["Content-Encoding"] = gzip.compress(said), "gzip"
    await answer.prepare(request)
    for letter in said:
        await answer.write(bytes((letter,)))
        await asyncio.sleep(0.002)  # so that each arrives alone
    return answer


@routes.put("/upload")
async def upload(request: web.Request) -> web.Response:
    """Counts and hashes what comes."""
    size, digest = 0, hashlib.sha256()
    async for piece in request.content.iter_any():
        size += len(piece)
        digest.update(piece)
    return web.json_response({"size": size, "sha256": digest.hexdigest()})


@routes.get("/download")
async def download(request: web.Request) -> web.StreamResponse:
    """So many bytes; `slowly` so that somebody can kill it."""
    size = int(request.query["size"])
    answer = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
    if "chunked" not in request.query:
        answer.content_length = size
    await answer.prepare(request)
    while size > 0:
        piece = PIECE[:size]
        await answer.write(piece)
        size -= len(piece)
        if "slowly" in request.query:
            await asyncio.sleep(0.05)
    return answer


@routes.get("/events")
async def events(request: web.Request) -> web.StreamResponse:
    """An event now and then, for as long as anybody listens."""
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await answer.prepare(request)
    number = 0
    while True:
        number += 1
        await answer.write(f"id: {number}\ndata: {json.dumps({'email': 'person1@mail.example'})}\n\n".encode())
        await asyncio.sleep(0.05)


@routes.get("/redirect")
async def redirect(request: web.Request) -> web.Response:
    """To where one likes."""
    return web.Response(status=302, headers={"Location": request.query["to"]})


@routes.get("/cookie")
async def cookie(request: web.Request) -> web.Response:
    """Sets one for its own domain, and says which it was given."""
    answer = web.json_response(dict(request.cookies))
    answer.headers.add("Set-Cookie", f"visit=1; Domain={request.host.split(':')[0]}; Path=/")
    answer.headers["Alt-Svc"] = 'h2="elsewhere:443"'
    answer.headers["Strict-Transport-Security"] = "max-age=1"
    return answer


@routes.get("/last")
async def last(request: web.Request) -> web.Response:
    """Closes its connection without a word of warning, after the answer."""
    if request.transport is not None:
        asyncio.get_running_loop().call_later(0.02, request.transport.abort)
    return web.Response(text="last")


@routes.get("/socket")
async def socket(request: web.Request) -> web.WebSocketResponse:
    """Says back what it hears."""
    answer = web.WebSocketResponse(protocols=("chat",))
    await answer.prepare(request)
    async for message in answer:
        if message.type is WSMsgType.TEXT:
            await answer.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await answer.send_bytes(message.data)
    return answer


@routes.post("/orders")
async def order(request: web.Request) -> web.Response:
    """Remembers it."""
    seen.append(await request.text())
    return web.json_response({"orders": seen}, status=201)


@routes.delete("/orders")
async def clear(_request: web.Request) -> web.Response:
    """Forgets all."""
    seen.clear()
    return web.Response(status=204)


def main() -> None:
    app = web.Application(client_max_size=2**30)
    app.add_routes(routes)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)


if __name__ == "__main__":
    main()
