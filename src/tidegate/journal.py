"""Operators' messages: JSON lines, or readable ones on a terminal. Never a statement's text, a value or a secret.

A surprise is told by its type and the places in the code it passed, without its words: an exception's text may repeat
what an agent sent.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

import structlog

DEPTH = 6
"""How many of the innermost places a surprise names."""


def configure() -> None:
    """Write to standard error; tracebacks never show local variables."""
    terminal = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
            if terminal
            else structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def surprise(event: str, error: BaseException | None, **facts: object) -> None:
    """Something that should not happen: which kind, and where."""
    frames = traceback.extract_tb(error.__traceback__)[-DEPTH:] if error is not None else []
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames]
    structlog.get_logger("tidegate").error(event, cause=type(error).__name__, at=" < ".join(reversed(places)), **facts)
