"""Redis, the agent's direction: whatever an agent sends, however cut, only what was allowed reaches the server.

Input: two bytes that seed the sizes of pieces and who is first, then the agent's bytes. A command with ``refuse`` in it
is refused. The server reads what it is sent with a reader of the test's own, which knows only arrays of bulk strings.
"""

from __future__ import annotations

from random import Random

from playbook import Watcher
from tidegate.errors import AgentError
from tidegate.model.operation import Request
from unit.wire.redis_talking import NO, OK, wire

LIMIT = 300
QUEUED = b"+QUEUED\r\n"
END = b"\r\n" * 3


class Server:
    """Answers every whole command with +OK, in transactions as a server does; keeps the commands."""

    def __init__(self) -> None:
        self.commands: list[list[bytes]] = []
        self.said = self._left = b""
        self._queued = -1

    def feed(self, data: bytes) -> None:
        """More bytes of the gateway."""
        self._left += data
        while (found := _command(self._left)) is not None:
            args, end = found
            self._left = self._left[end:]
            self.commands.append(args)
            self.said += self._reply(args)

    def _reply(self, args: list[bytes]) -> bytes:
        if args == [b"MULTI"]:
            self._queued = 0
        elif args == [b"EXEC"]:
            count, self._queued = self._queued, -1
            return b"*%d\r\n" % count + OK * count
        elif self._queued >= 0:
            self._queued += 1
            return QUEUED
        elif args[0].lower().endswith(b"subscribe"):
            return b"-ERR not here\r\n"
        return OK


def _command(data: bytes) -> tuple[list[bytes], int] | None:
    """The first command, if it is whole; anything but an array of bulk strings is a failure of the gateway's."""
    lines = data.split(b"\r\n", 1)
    if len(lines) < 2:
        return None
    assert lines[0][:1] == b"*", f"the server was sent {data[:40]!r}"
    at, args = len(lines[0]) + 2, []
    for _ in range(int(lines[0][1:])):
        stop = data.find(b"\r\n", at)
        if stop < 0:
            return None
        assert data[at : at + 1] == b"$", f"the server was sent {data[at:][:40]!r}"
        start, size = stop + 2, int(data[at + 1 : stop])
        if len(data) < start + size + 2:
            return None
        args.append(data[start : start + size])
        at = start + size + 2
    return args, at


def play(said: bytes, dice: Random | None) -> tuple[bytes, Server, str]:
    """What the agent sees, the server, and how it ended; without dice nothing is cut."""
    side, server, results, shown = wire(LIMIT), Server(), Watcher(), b""
    pieces, told = [said], 0
    if dice is not None:
        pieces = []
        while said:
            size = dice.choice((1, 3, 20, 500))
            pieces, said = [*pieces, said[:size]], said[size:]
    parked: Request | None = None
    while True:
        if parked is not None and not side.pending:
            reply = side.refuse(parked, NO)
            server.feed(reply.to_resource)
            shown, parked = shown + reply.to_agent, None
        try:
            request = None if parked is not None else side.request()
        except AgentError:
            return shown, server, "agent_failed"
        if request is not None and request.farewell:
            return shown, server, "reset"
        if request is not None and request.own is not None:
            assert not side.pending, "an answer overtakes others"
            shown += request.own
            if side.over:
                return shown, server, "quit"
        elif request is not None and any("refuse" in operation.facts.text.lower() for operation in request.operations):
            parked = request
        elif request is not None:
            results.open.update(request.operations)
            server.feed(side.forward(request))
        elif (
            pieces and not side.waiting and parked is None and (dice is None or dice.random() < 0.7 or not side.pending)
        ):
            side.feed(pieces.pop(0))
        elif told < len(server.said):
            size = 10**9 if dice is None else dice.choice((1, 4, 100))
            part = server.said[told : told + size]
            told += len(part)
            shown += side.responses(part, results)
        elif pieces and not side.waiting and parked is None:
            side.feed(pieces.pop(0))
        else:
            assert not side.waiting and parked is None, "nobody can go on"
            assert side.pending <= bool(server._left), "replies are still due"
            return shown, server, "quiet"


def _heads(dice: Random | None) -> bool:
    return dice is not None and dice.random() < 0.4


def target(data: bytes) -> None:
    """The agent's bytes whole and in pieces: the same is shown, the same runs, and none of it was refused."""
    said = data[2:] + END
    whole, server, ended = play(said, None)
    short = [word for args in server.commands for word in args if len(word) < LIMIT // 2]  # others may have streamed
    assert not any(b"refuse" in word for word in short), "what was refused has run"
    shown, other, again = play(said, Random(data[:2]))
    assert (ended, server.commands) == (again, other.commands), "pieces of another size are another conversation"
    assert whole == shown or ended == "agent_failed"
