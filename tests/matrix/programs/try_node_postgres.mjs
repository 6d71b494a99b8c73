// node-postgres: clients, pools, prepared statements, cursors, streams, notifications, errors.
import { createRequire } from "node:module";
import { run, tried } from "./trials.mjs";

const require = createRequire(`${process.env.TIDEGATE_NODE}/package.json`);
const pg = require("pg");
const Cursor = require("pg-cursor");
const QueryStream = require("pg-query-stream");

const at = { ssl: false };
async function connected(act) {
  const client = new pg.Client(at);
  await client.connect();
  try {
    return await act(client);
  } finally {
    await client.end();
  }
}
const PEOPLE = "select id, name, email, born, score, tags, extra, avatar from customers where id < $1 order by id";

tried("parameters, every common type", () => connected(async (c) => (await c.query(PEOPLE, [4])).rows));
tried("binary results", () =>
  connected(async (c) => (await c.query({ text: "select id, active from customers where id < $1 order by id", values: [4], binary: true })).rows));
tried("named (prepared) statements, used again", () =>
  connected(async (c) => {
    const found = [];
    for (const id of [1, 2, 3])
      found.push((await c.query({ name: "city", text: "select city, email from customers where id = $1", values: [id] })).rows);
    return found;
  }));
tried("a text of several statements", () =>
  connected(async (c) => (await c.query("select 1 as a; select 2 as b, 3 as c")).map((r) => r.rows)));
tried("a pool of 4 with 20 queries at once", async () => {
  const pool = new pg.Pool({ ...at, max: 4 });
  const found = await Promise.all([...Array(20).keys()].map((n) => pool.query("select $1::int * 2 as n", [n])));
  await pool.end();
  return found.map((one) => one.rows[0].n);
});
tried("a transaction with an error, rolled back", () =>
  connected(async (c) => {
    await c.query("begin");
    await c.query("insert into notes (body) values ($1) returning id", ["lost"]);
    const code = await c.query("select 1/0").catch((error) => error.code);
    const failed = await c.query("select 1").catch((error) => error.code);
    await c.query("rollback");
    return [code, failed, (await c.query("select count(*) from notes")).rows];
  }));
tried("pg-cursor: portions, closed early", () =>
  connected(async (c) => {
    const cursor = c.query(new Cursor("select id, email from customers order by id"));
    const found = [await cursor.read(3), await cursor.read(2)];
    await cursor.close();
    return [found, (await c.query("select 1 as n")).rows];
  }));
tried("pg-query-stream: 1,000 rows", () =>
  connected(async (c) => {
    let sum = 0;
    for await (const row of c.query(new QueryStream("select id from orders", [], { batchSize: 100 }))) sum += row.id;
    return sum;
  }));
tried("LISTEN and NOTIFY", () =>
  connected(async (c) => {
    const heard = new Promise((yes) => c.on("notification", (note) => yes([note.channel, note.payload])));
    await c.query("listen news");
    await c.query("notify news, 'hello'");
    return heard;
  }), { withheld: "hello" });
tried("arrays, JSON, dates, bytes as parameters", () =>
  connected(async (c) => (await c.query("select $1::int[] a, $2::jsonb b, $3::timestamptz c, $4::bytea d",
    [[1, 2], { x: [1] }, new Date(0), Buffer.from("hi")])).rows));
tried("errors: code, constraint, position", () =>
  connected(async (c) => {
    const wrong = await c.query("select nothing from orders").catch((e) => [e.code, e.position]);
    const broken = await c.query("insert into notes (feeling) values ('furious')").catch((e) => [e.code]);
    return [wrong, broken, (await c.query("select 1 as n")).rows];
  }));
tried("queries queued without waiting, an error among them", () =>
  connected(async (c) => (await Promise.allSettled(["select 1 as n", "select 1/0", "select 3 as n"].map((q) => c.query(q))))
    .map((r) => r.value?.rows ?? r.reason.code)));

const version = (name) => require(`${name}/package.json`).version;
await run(`node-postgres ${version("pg")} (Node.js ${process.versions.node})`);
