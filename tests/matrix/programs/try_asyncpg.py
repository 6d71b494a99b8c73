"""asyncpg: pools, introspection, prepared statements, cursors, COPY, batches, notifications."""

import asyncio
import io
import os
from collections.abc import Awaitable, Callable

import asyncpg
from trials import Trials

tried = Trials()
Story = Callable[[asyncpg.Connection], Awaitable[object]]


async def connect() -> asyncpg.Connection:
    return await asyncpg.connect(ssl=False)


def story(name: str, withheld: str = "") -> Callable[[Story], Story]:
    """A trial on a connection of its own."""

    def keep(act: Story) -> Story:
        async def whole() -> object:
            connection = await connect()
            try:
                return await act(connection)
            finally:
                await connection.close()

        tried(name, withheld=withheld)(lambda: asyncio.run(whole()))
        return act

    return keep


@story("fetch, fetchrow, fetchval with parameters (binary)")
async def fetches(agent: asyncpg.Connection) -> object:
    rows = await agent.fetch("select id, name, email, born, score, tags, avatar from customers where id < $1", 4)
    return [tuple(row) for row in rows], await agent.fetchval("select sum(total) from orders where id < $1", 9)


@story("introspection of enums, arrays, composites, jsonb codecs")
async def introspects(agent: asyncpg.Connection) -> object:
    import json

    await agent.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
    row = await agent.fetchrow(
        "select 'happy'::mood, array['sad'::mood], row(1, 'x'), extra from customers where id = 1"
    )
    whole = await agent.fetchval("select o from orders o where id = 1")
    return [str(value) for value in row], str(whole)


@story("prepared statements and their attributes")
async def prepares(agent: asyncpg.Connection) -> object:
    statement = await agent.prepare("select city from customers where id = $1")
    shape = [(column.name, column.type.name) for column in statement.get_attributes()]
    return shape, [await statement.fetchval(number) for number in range(1, 6)]


@story("a cursor in a transaction, forwards in portions")
async def cursors(agent: asyncpg.Connection) -> object:
    async with agent.transaction():
        some = [row["id"] async for row in agent.cursor("select id from orders order by id", prefetch=40)]
        cursor = await agent.cursor("select id, email from customers order by id")
        await cursor.forward(10)
        return len(some), [tuple(row) for row in await cursor.fetch(2)]


@story("executemany, and a failing one")
async def batches(agent: asyncpg.Connection) -> object:
    await agent.executemany("insert into notes (id, body) values ($1, $2)", [(n, str(n)) for n in range(100, 400)])
    try:
        await agent.executemany("insert into notes (id, body) values ($1, $2)", [(500, "a"), (100, "b")])
    except asyncpg.UniqueViolationError as error:
        return error.sqlstate, await agent.fetchval("select count(*) from notes where id between 100 and 500")


@story("COPY in (records, text) and out")
async def copies(agent: asyncpg.Connection) -> object:
    tag = await agent.copy_records_to_table(
        "notes", records=[(9000 + n, "x") for n in range(50)], columns=["id", "body"]
    )
    more = await agent.copy_to_table("notes", source=io.BytesIO(b"9100\ty\n"), columns=["id", "body"])
    out = io.BytesIO()
    await agent.copy_from_query("select id, body from notes where id >= $1 order by id", 9098, output=out)
    whole = io.BytesIO()
    await agent.copy_from_table("orders", columns=["id", "total"], output=whole, format="csv")
    return tag, more, out.getvalue(), len(whole.getvalue())


@story("LISTEN and NOTIFY", withheld="hello")
async def notifies(agent: asyncpg.Connection) -> object:
    heard: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    await agent.add_listener("news", lambda _c, _p, channel, text: heard.set_result((channel, text)))
    await agent.execute("notify news, 'hello'")
    return await asyncio.wait_for(heard, 20)


@story("savepoints and isolation levels")
async def savepoints(agent: asyncpg.Connection) -> object:
    async with agent.transaction(isolation="serializable", readonly=False):
        try:
            async with agent.transaction():
                await agent.execute("select 1/0")
        except asyncpg.DivisionByZeroError:
            return await agent.fetchval("select current_setting('transaction_isolation')")


@story("a text of several statements")
async def several(agent: asyncpg.Connection) -> object:
    return await agent.execute(
        "insert into notes (body) values ('1'); select 1; update notes set body = '2' where id = 1"
    )


@story("cancelled by a time-out, the connection goes on")
async def cancels(agent: asyncpg.Connection) -> object:
    try:
        await agent.execute("select pg_sleep(30)", timeout=0.3)
    except TimeoutError:
        return await agent.fetchval("select 7")


@tried("a pool: 8 users of 3 connections, each reset between uses")
def pools() -> object:
    async def whole() -> object:
        async with asyncpg.create_pool(min_size=1, max_size=3, ssl=False) as pool:
            return await asyncio.gather(*(pool.fetchval("select $1::int * 2", number) for number in range(8)))

    return asyncio.run(whole())


@story("reload_schema_state, server version, settings")
async def facts(agent: asyncpg.Connection) -> object:
    await agent.reload_schema_state()
    settings = agent.get_settings()
    return agent.get_server_version().major, settings.client_encoding, settings.standard_conforming_strings


if __name__ == "__main__":
    assert os.environ["PGSSLMODE"] == "disable"
    tried.run(f"asyncpg {asyncpg.__version__}")
