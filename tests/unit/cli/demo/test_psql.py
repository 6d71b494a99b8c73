"""The agent's terminal shows what a real psql shows, statement by statement."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from servers import Postgres, binaries
from tidegate.cli.demo.psql import Psql
from tidegate.errors import ResourceError


@pytest.fixture
def agent(postgres: Postgres, tmp_path: Path) -> Iterator[Psql]:
    """A session as claude-code on database shop of the real server."""
    postgres.psql('DROP DATABASE IF EXISTS shop; DROP ROLE IF EXISTS "claude-code"; CREATE DATABASE shop')
    postgres.psql("CREATE ROLE \"claude-code\" LOGIN PASSWORD 'token'")
    passfile = tmp_path / "token"
    passfile.write_text("*:*:*:*:token\n")
    passfile.chmod(0o600)
    with Psql(binaries("18") / "psql", postgres.port, passfile) as agent:
        yield agent


def test_an_answer_is_whole(agent: Psql) -> None:
    """Rows and count come back before the next statement is typed."""
    assert "(1 row)" in agent.run("SELECT 6 * 7 AS answer;")
    assert "43" in agent.run("SELECT 43;")


def test_an_error_is_part_of_the_answer(agent: Psql) -> None:
    """Errors come in order, with their SQLSTATE, and the session goes on."""
    assert "ERROR:  42P01" in agent.run("SELECT * FROM nowhere;")
    assert "1" in agent.run("SELECT 1;")


def test_the_end_of_psql_is_an_error(agent: Psql) -> None:
    """A client that ends is reported with what it said, not waited for."""
    with pytest.raises(ResourceError, match="psql ended"):
        agent.run("\\q")


def test_a_refused_login_is_reported(postgres: Postgres, tmp_path: Path) -> None:
    """A connection that is refused raises with psql's own words."""
    with Psql(binaries("18") / "psql", postgres.port, tmp_path / "none") as agent, pytest.raises(ResourceError):
        agent.run("SELECT 1;")
