"""Exit statuses as a shell has them, and a signal before there is a client."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from tidegate.cli.child import Signals
from tidegate.errors import ResourceError


@pytest.fixture
def keep() -> int:
    """A descriptor to inherit."""
    return os.open(os.devnull, os.O_RDWR)


@pytest.mark.parametrize(
    ("code", "status"), [("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 128 + 9)]
)
def test_the_status_is_the_clients(keep: int, code: str, status: int) -> None:
    """As sh gives it: its own, or 128 and the signal that ended it."""
    with Signals() as signals:
        assert signals.run([sys.executable, "-c", code], os.environ, keep=keep) == status


def test_a_client_inherits_the_lock_and_the_signals(keep: int) -> None:
    """The descriptor is open in the client, and a signal is at its default there."""
    code = f"import os, signal; os.fstat({keep}); raise SystemExit(signal.getsignal(15) != signal.SIG_DFL)"
    with Signals() as signals:
        assert signals.run([sys.executable, "-c", code], os.environ, keep=keep) == 0


@pytest.mark.parametrize(("number", "error"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)])
def test_a_signal_before_there_is_a_client(number: signal.Signals, error: type[BaseException]) -> None:
    """It ends the command in order, so that files are removed, and the handlers before come back."""
    before = signal.getsignal(number)
    with pytest.raises(error), Signals():
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_a_directory_is_no_client(keep: int) -> None:
    """What cannot be started is an error of the tree."""
    with pytest.raises(ResourceError, match="cannot be started"), Signals() as signals:
        signals.run(["/"], os.environ, keep=keep)
