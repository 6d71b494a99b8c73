"""The parameters of a startup packet: an allow-list, and what the allowed ones ask for.

Why an allow-list: a startup parameter is a setting, and a setting can change how statements are read (rule 9) or what
they may do. What the drivers send by themselves is on it; the rest is refused, so that nobody wonders why a setting has
no effect. Source: PostgreSQL documentation, "Message Formats", StartupMessage; libpq, "Connection Control Functions".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tidegate.errors import AgentError
from tidegate.wire.postgres_messages import SPOKEN

SETTINGS = frozenset(
    {
        "bytea_output",
        "client_min_messages",
        "datestyle",
        "extra_float_digits",
        "geqo",
        "idle_in_transaction_session_timeout",
        "intervalstyle",
        "jit",
        "lock_timeout",
        "timezone",
    }
)
"""Settings that an agent may bring along: they change how values look or are planned, or make the server stricter."""

UNICODE = frozenset({"utf8", "utf-8", "unicode"})

IGNORED = frozenset({"user", "database", "application_name", "fallback_application_name"})
"""Not settings, or, as application_name, set by the gateway, so that the server's log names the session."""

AUTHENTICATION = "tidegate.auth"
"""How the agent wants to present its token: ``password`` or ``oauth``."""

WAIT = "tidegate.wait"
"""Seconds that the agent would wait for people, or ``off``: then it is told at once to ask again later."""

OFF = frozenset({"false", "off", "no", "0", "f", "n"})
ON = frozenset({"true", "on", "yes", "1", "t", "y"})
LOGICAL = "database"

_OPTION = re.compile(r"(?:-c\s*|--)([A-Za-z_][\w.-]*)=((?:[^\s\\]|\\.)*)(?:\s+|$)")


@dataclass(frozen=True, slots=True)
class Startup:
    """What the agent asks for.

    ``database`` names the resource too; ``settings`` pass to the server; ``path`` is a wanted search path, which must
    be the one that the server has anyway, and ``patience`` a wanted statement_timeout in milliseconds; ``replication``
    is empty, ``on`` (physical) or ``database`` (logical); ``minor`` is the protocol's minor version; ``wait`` are the
    seconds that the agent would wait for people, None for as long as policy lets it.
    """

    database: str
    settings: Mapping[str, str]
    path: tuple[str, ...] = ()
    patience: int = 0
    replication: str = ""
    oauth: bool = False
    minor: int = 0
    wait: int | None = None


def startup(given: Mapping[str, str], minor: int = 0) -> Startup:
    """What these parameters ask for. Raises AgentError for any that may not be set."""
    named = {name.lower(): value for name, value in given.items()}
    database, replication = named.pop("database", ""), _replication(named.pop("replication", "off"))
    # As the server does it: what stands in the packet itself wins over what stands in its options.
    wanted = _options(named.pop("options", "")) | named
    return Startup(
        database,
        {name: value for name, value in wanted.items() if _passes(name, value)},
        _path(wanted.get("search_path", "")),
        _patience(wanted.get("statement_timeout", "0")),
        replication,
        _oauth(wanted.get(AUTHENTICATION, "password")),
        minor,
        _wait(wanted.get(WAIT)),
    )


def _passes(name: str, value: str) -> bool:
    """Whether a setting goes to the server as it is; the others on the list are dealt with here."""
    if name in SETTINGS:
        return True
    if name == "client_encoding":
        if value.strip("'\" ").lower() not in UNICODE:
            raise AgentError("Only client_encoding UTF8 is spoken here.", code="agent.setting")
    elif name in SPOKEN:
        if value.lower() not in ON:
            raise AgentError(f"Only {name} {SPOKEN[name]} is spoken here.", code="agent.setting")
    elif name not in IGNORED and name not in ("search_path", "statement_timeout", AUTHENTICATION, WAIT):
        raise AgentError(
            f"The startup parameter {name[:63]!r} is not accepted.",
            hint=f"Leave it out; accepted are {', '.join(sorted(SETTINGS))}.",
            code="agent.setting",
        )
    return False


def _options(text: str) -> dict[str, str]:
    """Settings in ``options`` (``-c name=value`` or ``--name=value``). Raises AgentError for anything else."""
    out: dict[str, str] = {}
    text, at = text.strip(), 0
    while at < len(text):
        found = _OPTION.match(text, at)
        if found is None:
            raise AgentError("Only -c name=value is accepted in options.", code="agent.setting")
        out[found[1].replace("-", "_").lower()] = re.sub(r"\\(.)", r"\1", found[2])
        at = found.end()
    return out


def _replication(value: str) -> str:
    value = value.lower()
    if value not in ON | OFF | {LOGICAL}:
        raise AgentError("The startup parameter replication is on, off or database.", code="agent.setting")
    return "" if value in OFF else LOGICAL if value == LOGICAL else "on"


def _path(value: str) -> tuple[str, ...]:
    return tuple(part.strip().strip('"') for part in value.split(",") if part.strip())


def _patience(value: str) -> int:
    if not value.isascii() or not value.isdecimal() or len(value) > 10:
        raise AgentError("The startup parameter statement_timeout is in milliseconds.", code="agent.setting")
    return int(value)


def _wait(value: str | None) -> int | None:
    if value is None or value.lower() in OFF:
        return None if value is None else 0
    if not value.isascii() or not value.isdecimal() or len(value) > 6:
        raise AgentError(f"The startup parameter {WAIT} is off or a number of seconds.", code="agent.setting")
    return int(value)


def _oauth(value: str) -> bool:
    if value not in ("password", "oauth"):
        raise AgentError(f"The startup parameter {AUTHENTICATION} is password or oauth.", code="agent.setting")
    return value == "oauth"
