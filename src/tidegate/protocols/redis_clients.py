"""How Redis's clients are pointed at a resource: by a URL in a file, which drivers take, and by a file for redis-cli.

The user name is the resource's name and the password the token. redis-cli reads a password from its environment only,
so a shell puts it there from the file, for that one process.
"""

from __future__ import annotations

from tidegate.model.recipe import Client, Draft, Recipe

_CLI = "redis-cli -h {{host}} -p {{port}} --tls --cacert '{{ca}}' --user {{resource}}"
_SET = 'REDISCLI_AUTH="$(cat "{{directory}}/token")"'
_URL = 'from_url(open("{{directory}}/url").read().strip())'

_IOREDIS = (
    'new Redis({host: "{{host}}", port: {{port}}, username: "{{resource}}", password: '
    'fs.readFileSync("{{directory}}/token", "utf8").trim(), tls: {ca: fs.readFileSync("{{ca}}")}})'
)

CLIENTS = (
    Client(
        "redis-cli",
        "redis-cli",
        f"{_SET} {_CLI}",
        ("sh", "-c", f'{_SET} exec {_CLI} "$@"', "redis-cli"),
    ),
    Client("redis-py", "Python: redis-py", f"redis.Redis.{_URL}"),
    Client("redis-py-async", "Python: redis-py, asyncio", f"redis.asyncio.Redis.{_URL}"),
    Client("ioredis", "Node: ioredis", _IOREDIS),
    Client("url", "any driver that takes a URL", "the URL in {{directory}}/url"),
)

RECIPE = Recipe(
    clients=CLIENTS,
    files={
        "token": Draft("{{token}}\n"),
        "url": Draft("rediss://{{resource}}:{{token}}@{{address}}/0?ssl_ca_certs={{ca}}\n"),
    },
    unset=("REDISCLI_AUTH",),  # it would be sent in place of the token
)
