"""`tidegate demo`: the whole job on real input, with nothing else installed.

A real database server from a wheel with a seeded shop, a gateway in front of it, an agent, the person it acts for, and
an approver. Every step runs the real command or the real database client and checks what came back, so the demo is
also the first end-to-end test: a promise that is not kept ends it with a clear message and a status other than 0.

This package and ``protocols/`` are the only places that name a protocol: the demo shows one.
"""

from __future__ import annotations


def demo(*, once: bool = False) -> int:
    """Play the story and leave the gateway up until Ctrl-C.

    Parameters
    ----------
    once
        End after the story, with status 0 if every promise was kept.
    """
    from .story import play

    return play(once=once)
