// postgres.js: tagged templates, pipelining, cursors, COPY streams, transactions, notifications.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pipeline } from "node:stream/promises";
import { Readable } from "node:stream";
import { run, tried } from "./trials.mjs";

const require = createRequire(`${process.env.TIDEGATE_NODE}/package.json`);
const postgres = require("postgres");

async function connected(act, more = {}) {
  const sql = postgres({ ssl: false, onnotice: () => {}, ...more });
  try {
    return await act(sql);
  } finally {
    await sql.end({ timeout: 5 });
  }
}

tried("tagged templates with parameters", () => connected((sql) =>
  sql`select id, name, email, tags, extra, avatar from customers where id < ${4} order by id`));
tried("without prepared statements", () => connected((sql) =>
  sql`select id, email from customers where id = any(${[1, 2]}) order by id`, { prepare: false }));
tried("types fetched at connect (fetch_types), an enum array", () => connected((sql) => sql`select array['sad']::mood[] as m`));
tried("bulk insert and RETURNING", () => connected((sql) =>
  sql`insert into notes ${sql([{ id: 7001, body: "a" }, { id: 7002, body: "b" }])} returning id, body`));
tried("a transaction with a savepoint", () => connected((sql) => sql.begin(async (sql) => {
  await sql`insert into notes (id, body) values (7100, 'kept')`;
  await sql.savepoint((sql) => sql`select 1/0`).catch(() => {});
  return sql`select body from notes where id = 7100`;
})));
tried("a cursor over 1,000 rows", () => connected(async (sql) => {
  let sum = 0;
  await sql`select id from orders`.cursor(100, (rows) => { sum += rows.reduce((a, row) => a + row.id, 0); });
  return sum;
}));
tried("COPY in and out as streams", () => connected(async (sql) => {
  await pipeline(Readable.from(["8001\tx\n", "8002\ty\n"]), await sql`copy notes (id, body) from stdin`.writable());
  let out = "";
  for await (const chunk of await sql`copy (select id, body from notes where id > 8000 order by id) to stdout`.readable()) out += chunk;
  return out;
}));
tried("20 queries pipelined over one connection", () => connected(async (sql) =>
  (await Promise.all([...Array(20).keys()].map((n) => sql`select ${n}::int as n`))).map((rows) => rows[0].n), { max: 1 }));
tried("an error among pipelined queries", () => connected(async (sql) =>
  (await Promise.allSettled([sql`select 1 as n`, sql`select 1/0`, sql`select 3 as n`])).map((r) => r.value?.[0].n ?? r.reason.code), { max: 1 }));
tried("listen and notify", () => connected(async (sql) => {
  let heard;
  const first = new Promise((yes) => (heard = yes));
  await sql.listen("news", (text) => heard(["news", text]));
  await sql.notify("news", "hello");
  return first;
}), { withheld: "hello" });
tried("unsafe text of several statements", () => connected((sql) => sql.unsafe("select 1 as a; select 2 as b")));
tried("cancel a statement under way", () => connected(async (sql) => {
  const slow = sql`select pg_sleep(30)`.execute();
  setTimeout(() => slow.cancel(), 300);
  return [await slow.catch((error) => error.code), await sql`select 1 as n`];
}));

const about = JSON.parse(readFileSync(`${process.env.TIDEGATE_NODE}/node_modules/postgres/package.json`));
await run(`postgres.js ${about.version} (Node.js ${process.versions.node})`);
