"""Makes the table of Redis commands that Tidegate judges by, from what real servers say of theirs.

    python tools/redis_commands.py HOST:PORT ... [--write]

Asks each server for COMMAND (names, arity, flags, key specifications, subcommands) and merges the answers: every
command that any of them has, with the strictest of each fact. What the table says is pinned by being in the repository;
a test compares it with the server at hand.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import redis

TABLE = Path(__file__).parents[1] / "src" / "tidegate" / "operations" / "data" / "redis_commands.json"

FLAGS = (
    "readonly",
    "write",
    "admin",
    "blocking",
    "pubsub",
    "noscript",
    "skip_slowlog",
    "no_multi",
    "no_mandatory_keys",
)
"""What is kept of the flags."""


def asked(address: str) -> tuple[str, dict[str, Any]]:
    """Product and version of the server, and its commands."""
    host, _, port = address.rpartition(":")
    server = redis.Redis(host, int(port), protocol=2, decode_responses=True)
    server.response_callbacks.clear()
    info = dict(line.split(":", 1) for line in server.execute_command("INFO", "server").splitlines() if ":" in line)
    name = "Valkey" if info.get("server_name") == "valkey" else "Redis"
    version = info.get("valkey_version") or info["redis_version"]
    found: dict[str, Any] = {}
    for entry in server.execute_command("COMMAND"):
        _keep(found, entry)
    return f"{name} {version}", found


def _keep(found: dict[str, Any], entry: list[Any]) -> None:
    name, arity, flags, _, _, _, _, _, keys, below = entry[:10]
    found[name.lower().replace("|", " ")] = {
        "arity": arity,
        "flags": sorted(set(flags) & set(FLAGS)),
        "keys": [_spec(_mapping(spec)) for spec in keys],
        **({"container": True} if below else {}),
    }
    for sub in below:
        _keep(found, sub)


def _spec(spec: dict[str, Any]) -> dict[str, Any]:
    begin, find = _mapping(spec["begin_search"]), _mapping(spec["find_keys"])
    return {
        "flags": sorted(spec["flags"]),
        "begin": _step(begin, {"index": ("index",), "keyword": ("keyword", "startfrom")}),
        "find": _step(find, {"range": ("lastkey", "keystep", "limit"), "keynum": ("keynumidx", "firstkey", "keystep")}),
    }


def _step(step: dict[str, Any], parts: dict[str, tuple[str, ...]]) -> list[Any] | None:
    wanted = parts.get(step["type"])
    said = _mapping(step["spec"])
    return None if wanted is None else [step["type"], *(said[part] for part in wanted)]


def _mapping(flat: Any) -> dict[str, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True)) if isinstance(flat, list) else dict(flat)


def merged(answers: list[dict[str, Any]]) -> dict[str, Any]:
    """Every command, the newest server's word on keys, and only what all agree is harmless."""
    table: dict[str, Any] = {}
    for commands in answers:
        for name, said in commands.items():
            known = table.get(name, said)
            flags = set(said["flags"]) | set(known["flags"])
            if "readonly" not in known["flags"] or "readonly" not in said["flags"]:
                flags.discard("readonly")
            table[name] = {**said, "flags": sorted(flags), "arity": _looser(known["arity"], said["arity"])}
    return dict(sorted(table.items()))


def _looser(one: int, other: int) -> int:
    """An arity that fits both: what only some servers refuse is left to them."""
    return one if one == other else -min(abs(one), abs(other))


def text(versions: list[str], table: dict[str, Any]) -> str:
    """The file: a command a line."""
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(said, sort_keys=True)}" for name, said in table.items())
    return f'{{\n "made from": {json.dumps(versions)},\n "commands": {{\n{lines}\n }}\n}}\n'


def main() -> int:
    """Print the table, or write it."""
    addresses = [word for word in sys.argv[1:] if not word.startswith("--")]
    answers = [asked(address) for address in addresses]
    made = text([version for version, _ in answers], merged([commands for _, commands in answers]))
    if "--write" in sys.argv:
        TABLE.write_text(made)
    else:
        print(made, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
