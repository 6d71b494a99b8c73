"""How HTTP's clients are pointed at a resource: by a netrc, which curl and requests read, or a file with the token.

A netrc names the host, so that no other server is offered the token; it goes as the password of a Basic login, and
from the token file as a bearer. Source: curl(1), "netrc-file"; the requests documentation, "netrc Authentication".
"""

from __future__ import annotations

from tidegate.model.recipe import Client, Draft, Recipe

CLIENTS = (
    Client("curl", "curl", 'curl "$TIDEGATE_URL/"', ("curl",)),
    Client(
        "requests",
        "Python: requests",
        'requests.get(os.environ["TIDEGATE_URL"] + "/", verify=os.environ["TIDEGATE_CA"])',
    ),
    Client(
        "httpx",
        "Python: httpx",
        'httpx.Client(base_url=os.environ["TIDEGATE_URL"], auth=httpx.NetRCAuth(os.environ["NETRC"]), '
        'verify=ssl.create_default_context(cafile=os.environ["TIDEGATE_CA"]))',
    ),
    Client(
        "aiohttp",
        "Python: aiohttp",
        "aiohttp.ClientSession(trust_env=True, connector=aiohttp.TCPConnector("
        'ssl=ssl.create_default_context(cafile=os.environ["TIDEGATE_CA"])))',
    ),
    Client(
        "fetch",
        "Node: fetch",
        "fetch(`${process.env.TIDEGATE_URL}/`, {headers: {authorization: `Bearer "
        '${fs.readFileSync(process.env.TIDEGATE_TOKEN_FILE, "utf8").trim()}`}})',
    ),
    Client(
        "any",
        "any other, with a header from a file",
        'base URL $TIDEGATE_URL, header "Authorization: Bearer" with the content of $TIDEGATE_TOKEN_FILE',
    ),
)

RECIPE = Recipe(
    clients=CLIENTS,
    files={
        "netrc": Draft("machine {{host}} login {{user}} password {{token}}\n"),
        "token": Draft("{{token}}\n"),
        ".curlrc": Draft('netrc-file = "{{directory}}/netrc"\ncacert = "{{ca}}"\n', escape='"\\'),
    },
    environment={
        "TIDEGATE_URL": "https://{{address}}/r/{{resource}}",
        "TIDEGATE_CA": "{{ca}}",
        "TIDEGATE_TOKEN_FILE": "{{directory}}/token",
        "CURL_HOME": "{{directory}}",
        "NETRC": "{{directory}}/netrc",
        "NODE_EXTRA_CA_CERTS": "{{ca}}",
    },
    # Each would send the client past the gateway, or a token to somebody in between.
    unset=("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", "CURL_CA_BUNDLE"),
)
"""aiohttp reads the netrc with ``trust_env``; Node's own list of authorities is kept beside the gateway's."""
