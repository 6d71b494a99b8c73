// The contract of trials.py for programs in JavaScript: one line of JSON for each thing tried.
const DEADLINE = 90000;
const trials = [];

export function tried(name, act, more = {}) {
  trials.push({ name, act, more });
}

const plain = (_key, value) => {
  if (typeof value === "bigint") return String(value);
  if (value && value.type === "Buffer") return Buffer.from(value.data).toString("hex");
  return value;
};

export async function run(client) {
  console.log(JSON.stringify({ client }));
  for (const { name, act, more } of trials) {
    let timer;
    const late = new Promise((_, no) => (timer = setTimeout(() => no(new Error("nothing after 90 seconds")), DEADLINE)));
    try {
      console.log(JSON.stringify({ tried: name, ...more, got: (await Promise.race([act(), late])) ?? null }, plain));
    } catch (error) {
      console.log(JSON.stringify({ tried: name, ...more, failed: `${error.code ?? ""} ${error.message}` }));
    }
    clearTimeout(timer);
  }
  process.exit(0);
}
