"""Operators' messages tell where, never what."""

from __future__ import annotations

import structlog
from structlog.testing import capture_logs

from tidegate.journal import configure, surprise


def test_a_surprise_hides_its_words() -> None:
    """The type and the place are told; the exception's text, which may repeat a statement, is not."""
    with capture_logs() as logs:
        try:
            raise ValueError("select ssn from customers")
        except ValueError as error:
            surprise("session.surprise", error, sid="s1")
    assert logs[0]["cause"] == "ValueError" and "test_journal.py" in logs[0]["at"]
    assert "ssn" not in str(logs)


def test_configured_loggers_have_no_locals() -> None:
    """After configuration no processor renders local variables."""
    configure()
    try:
        names = [type(processor).__name__ for processor in structlog.get_config()["processors"]]
        assert names[-1] in ("JSONRenderer", "ConsoleRenderer")
    finally:
        structlog.reset_defaults()
