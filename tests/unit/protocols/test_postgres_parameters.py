"""Startup parameters: what drivers send by themselves passes, what would change the language does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import AgentError
from tidegate.protocols.postgres_parameters import SETTINGS, Startup, startup


@pytest.mark.parametrize(
    "given",
    [
        {"role": "postgres"},
        {"client_encoding": "SJIS"},
        {"standard_conforming_strings": "off"},
        {"session_replication_role": "replica"},
        {"default_transaction_read_only": "off"},
        {"statement_timeout": "-1"},
        {"statement_timeout": "10min"},
        {"options": "-c role=evil"},
        {"options": "-c timezone=UTC -crole=evil"},
        {"options": "--session-authorization=evil"},
        {"options": "-c timezone=UTC -S 1"},
        {"options": r"-c timezone=a\ -crole=b -c role=x"},
        {"options": "-c options=-crole=x"},
        {"options": "-c replication=on"},
        {"tidegate.auth": "none"},
        {"replication": "maybe"},
    ],
)
def test_refused_parameters(given: dict[str, str]) -> None:
    """What could change how statements are read, or what they may do, is refused."""
    with pytest.raises(AgentError) as caught:
        startup(given)
    assert caught.value.code == "agent.setting"


DRIVERS = {
    "libpq": {"user": "a", "database": "shop", "application_name": "psql", "client_encoding": "UTF8"},
    "libpq with its environment": {"datestyle": "ISO, DMY", "timezone": "UTC", "geqo": "off", "options": "-c jit=off"},
    "pgjdbc": {
        "user": "a", "database": "shop", "client_encoding": "UTF8", "DateStyle": "ISO", "TimeZone": "Europe/Oslo",
        "extra_float_digits": "2", "application_name": "PostgreSQL JDBC Driver",
    },
    "asyncpg": {"client_encoding": "'utf-8'", "user": "a", "database": "shop", "jit": "off"},
    "npgsql": {"user": "a", "database": "shop", "client_encoding": "UTF8", "application_name": "x", "TimeZone": "UTC"},
    "node-postgres": {
        "user": "a", "database": "shop", "client_encoding": "UTF8", "application_name": "x",
        "statement_timeout": "30000", "lock_timeout": "1000", "idle_in_transaction_session_timeout": "60000",
    },
    "lib/pq": {"user": "a", "database": "shop", "client_encoding": "UTF8", "datestyle": "ISO, MDY",
        "extra_float_digits": "2"},
    "psqlodbc": {"user": "a", "database": "shop", "DateStyle": "ISO", "extra_float_digits": "2", "geqo": "on"},
    "an older pgx": {"user": "a", "database": "shop", "standard_conforming_strings": "on"},
}  # fmt: skip


@pytest.mark.parametrize("driver", DRIVERS)
def test_what_drivers_send_is_accepted(driver: str) -> None:
    """The packets of common drivers, as they are by default or with common options, open a session."""
    given = DRIVERS[driver]
    assert set(startup(given).settings) == {name.lower() for name in given} & SETTINGS | (
        {"jit"} if "options" in given else set()
    )


def test_options() -> None:
    """Options are read as the server reads them, escapes included."""
    text = r"-c datestyle=ISO,\ DMY --lock-timeout=5s -ctimezone=UTC"
    assert startup({"options": text}).settings == {"datestyle": "ISO, DMY", "lock_timeout": "5s", "timezone": "UTC"}


@pytest.mark.parametrize("encoding", ["UTF8", "utf-8", "'utf-8'", "Unicode"])
def test_unicode_by_any_name(encoding: str) -> None:
    """Drivers spell UTF-8 in several ways."""
    assert startup({"client_encoding": encoding}) == Startup("", {})


@pytest.mark.parametrize(
    ("value", "kind"),
    [("off", ""), ("0", ""), ("FALSE", ""), ("true", "on"), ("1", "on"), ("Yes", "on"), ("database", "database")],
)
def test_replication(value: str, kind: str) -> None:
    """Every spelling that the server knows is understood."""
    assert startup({"replication": value}).replication == kind


def test_wishes() -> None:
    """What the gateway deals with itself does not pass to the server."""
    found = startup({"search_path": '"$user", public', "statement_timeout": "500", "options": "-c tidegate.auth=oauth"})
    assert found == Startup("", {}, ("$user", "public"), 500, oauth=True)


@given(st.text(max_size=60))
def test_options_are_settings_of_the_list_or_an_error(text: str) -> None:
    """No text in options brings another setting past the list."""
    try:
        found = startup({"options": text})
    except AgentError:
        return
    assert set(found.settings) <= SETTINGS
