"""Run a process of a gateway on its event loop, until it ends or a signal says so."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from tidegate.build import BUILD
from tidegate.journal import configure, surprise
from tidegate.settings import Settings

from .process import Process

if TYPE_CHECKING:
    from .office import Office

logger = structlog.get_logger("tidegate")

COLLECT_EVERY = 50_000
"""Allocations between two searches for cycles: what a statement leaves behind is freed by counting."""

SWITCH = 0.0001
"""Seconds a thread may keep the interpreter while another wants it. The loop lets go of it at every system call; with
Python's own 5 ms it would wait that long for the log's thread each time."""


def serve(settings: Settings) -> None:
    """Run a gateway until SIGINT or SIGTERM; exits with its status unless that is 0."""
    from .alone import Alone
    from .supervisor import Supervisor

    process = Supervisor(settings) if settings.workers > 1 else Alone(settings)
    status = run(process, lambda: _announce(process, process.office))
    if status:
        raise SystemExit(status)


def run(process: Process, ready: Callable[[], None]) -> int:
    """Run ``process`` on a fresh loop until it ends; gives its exit status."""
    import uvloop

    configure()
    sys.setswitchinterval(SWITCH)
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY)

    async def main() -> int:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: surprise("loop.surprise", context.get("exception")))

        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, process.stop)
        return await process.run(ready)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())


def _announce(process: Process, office: Office) -> None:
    settings = process.settings
    logger.info(
        "gateway.ready",
        build=BUILD,
        api=str(settings.api),
        listen={name: str(address) for name, address in settings.listen.items()},
        workers=settings.workers,
        policy=process.bundle.sha256[:16],
        log=process.parts.log.origin,
    )
    code = office.access.bootstrap_code()
    if code:
        print(f"No administrator yet. One-time bootstrap code: {code}", file=sys.stderr, flush=True)  # noqa: T201
