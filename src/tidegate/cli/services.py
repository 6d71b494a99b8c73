"""`tidegate services`: what runs by itself and connects with its own token; a person answers for each."""

from __future__ import annotations

from . import screen
from .agents import Claims, Issuer, Owner, Subject, bind, conditions, disable, members, new, show, unbind
from .people import Groups

__all__ = ["add", "bind", "disable", "listing", "show", "unbind"]


def add(
    name: str, *, issuer: Issuer, owner: Owner = "", group: Groups = (), subject: Subject = "", claim: Claims = ()
) -> None:
    """Add a service, whose credential are its own tokens of an issuer; it is in the group `services`. Needs operate."""
    new(name, "service", owner, group, issuer, conditions(subject, claim))
    screen.note(f"{name} connects with its own token from {issuer}.")


def listing(*, output: screen.Output = "table") -> None:
    """List services: your own, or all of them for who observes the gateway."""
    members("service", output)
