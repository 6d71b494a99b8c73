"""Fixtures that every test may use: real servers, started when first asked for and shared by the run.

A test that changes a shared server's state makes a database of its own. A missing server is a failure that says how to
get it; ``make test`` installs everything.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from servers import Postgres, ServerMissing

if "PYTHONPATH" in os.environ:  # gateways run in directories of their own
    paths = os.environ["PYTHONPATH"].split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, paths))

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")  # how fast an example runs says nothing on a machine that others use


def _serve(edition: str, *, tls: bool = False, auth: str = "scram-sha-256") -> Iterator[Postgres]:
    try:
        server = Postgres(edition, tls=tls, auth=auth)
    except ServerMissing as missing:
        pytest.fail(str(missing))
    with server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """PostgreSQL 18 with SCRAM, without TLS."""
    yield from _serve("18")


@pytest.fixture(scope="session")
def postgres_tls() -> Iterator[Postgres]:
    """PostgreSQL 17 with SCRAM and TLS."""
    yield from _serve("17", tls=True)


@pytest.fixture(scope="session")
def postgres_debian() -> Iterator[Postgres]:
    """Debian's PostgreSQL with MD5 passwords and TLS."""
    yield from _serve("debian", tls=True, auth="md5")
