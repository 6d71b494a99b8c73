"""Run a native client in the place of this command: same terminal, same signals, same exit status.

The terminal itself sends SIGINT and SIGQUIT to the whole foreground group, the client included, so they are passed on
only where there is no terminal; a client decides by itself what Ctrl-C means.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import FrameType

from tidegate.errors import ResourceError

_FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_OF_TERMINALS = (signal.SIGINT, signal.SIGQUIT)


class Signals:
    """While this is entered, signals go to the client; before there is one they end this command in order."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Signals:
        for number in (*_FORWARDED, *_OF_TERMINALS):
            self._before[number] = signal.signal(number, self._arrived)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def run(self, command: Sequence[str], environment: Mapping[str, str], *, keep: int) -> int:
        """Run ``command`` until it ends; gives its exit status as sh does: 128 and the signal's number if one ended it.

        ``keep`` is a descriptor that it inherits. Raises ResourceError ``client.missing``.
        """
        try:
            self._child = subprocess.Popen(list(command), env=dict(environment), pass_fds=(keep,))
        except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
            raise ResourceError(
                f"{command[0]} cannot be started: {error.strerror}",
                hint="Install it, or name another client after `--`.",
                code="client.missing",
            ) from None
        status = self._child.wait()
        return status if status >= 0 else 128 - status

    def _arrived(self, number: int, _: FrameType | None) -> None:
        if self._child is None:
            raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)
        if number not in _OF_TERMINALS or not _in_foreground():
            self._child.send_signal(number)


def _in_foreground() -> bool:
    """Whether the terminal's own signals reach the client already."""
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return False
