"""The command `tidegate`: which commands there are, and what an error becomes.

Commands are named by module and function and loaded only when run, so that help is instant and a client command never
loads the server. This is one of the three places where errors are caught: one line says what happened, one what to do,
and the exit status (sysexits.h) says whose fault it was.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import TextIO

from cyclopts import App, CycloptsError

from tidegate import __version__
from tidegate.errors import AgentError, ConfigError, IntegrityError, LogFailure, Refused, ResourceError, TidegateError
from tidegate.web.shown import safe

STATUS = {
    0: "done",
    1: "`audit verify`: the log was altered; `policy explain`: would be refused",
    3: "`audit verify`: the log is incomplete",
    4: "`audit verify`: the trust file is not met",
    64: "the command line is wrong",
    65: "data is wrong or evidence does not hold",
    69: "the gateway, or what it needs, does not answer",
    70: "a fault of Tidegate itself",
    77: "no permission: not logged in, or a rule says no",
    78: "a configuration file is wrong",
    130: "interrupted",
}
"""Every exit status and its meaning; documented in docs/reference/cli.md."""

COMMANDS: dict[str, dict[str, str]] = {
    "": {
        "init": "Write a first tidegate.yaml, policy.yaml and auditor key.",
        "serve": "Run the gateway.",
        "doctor": "Check configuration, policy, keys and disk, and say what to do.",
        "demo": "Play the whole story on a database of its own.",
        "login": "Log in with a one-time code.",
        "logout": "Forget the login.",
        "whoami": "Say who you are to the gateway.",
    },
    "people": {
        "add": "Add a person; prints a one-time code.",
        "code": "Print another one-time code.",
        "disable": "End a person's logins, tokens and sessions, for good.",
        "ls": "List people.",
    },
    "agents": {
        "add": "Add an agent of yours.",
        "disable": "End an agent's tokens and sessions, for good.",
        "ls": "List agents.",
    },
    "token": {
        "create": "Mint a token and its grant; prints only the token.",
        "ls": "List tokens.",
        "revoke": "End a token or a grant, and the sessions it carries.",
    },
    "approvals": {
        "ls": "List what waits for an answer.",
        "show": "Show exactly what would run, for whom, and why.",
        "approve": "Let it run, once.",
        "refuse": "Say no.",
    },
    "sessions": {
        "ls": "List sessions, newest first.",
        "show": "Show one session.",
        "replay": "Replay a session, statement by statement.",
        "kill": "End a live session.",
    },
    "audit": {
        "verify": "Check a log offline; trusts nothing but what you give it.",
        "tail": "Show the newest events.",
        "show": "Show one event with its sealed parts.",
    },
    "policy": {"check": "Check policy files.", "explain": "Say what would happen to a statement, and why."},
}
"""Groups, their commands and what they do; command `token create` is the function `create` in cli/token.py."""

_GROUPS = {
    "people": "Who may log in.",
    "agents": "What acts for people.",
    "token": "Short-lived tokens, each with a grant.",
    "approvals": "Held operations and the people who answer.",
    "sessions": "What is going on, and what went on.",
    "audit": "The log and its proof.",
    "policy": "The rules.",
}
_TOP = {"login": "login", "logout": "login", "whoami": "login"}


def build() -> App:
    """The whole command line."""
    app = App(
        name="tidegate",
        help="Identity-aware gateway between AI agents and the systems they use.",
        version=__version__,
        help_format="plaintext",
    )
    for group, commands in COMMANDS.items():
        target = App(name=group, help=_GROUPS[group]) if group else app
        for name, text in commands.items():
            target.command(f"{__package__}.{group or _TOP.get(name, name)}:{_function(name)}", name=name, help=text)
        if group:
            app.command(target)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status (``STATUS``); never raises."""
    try:
        result = build()(
            sys.argv[1:] if arguments is None else list(arguments),
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
        return result if isinstance(result, int) else 0
    except CycloptsError as error:
        return _say(64, _usage(error), "See: tidegate --help")
    except TidegateError as error:
        return _say(_status(error), error.message, error.hint)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader went away (`| head`): what is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _say(69, f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", "")
    except Exception:
        traceback.print_exc()
        return _say(70, "this is a fault of Tidegate itself", "Please report it with the lines above.")


def _status(error: TidegateError) -> int:
    match error:
        case IntegrityError():
            return error.status
        case ConfigError():
            return 78
        case Refused():
            return 65 if error.code.endswith(".unknown") else 77
        case AgentError():
            return 77 if error.code.startswith(("auth.", "token.", "identity.", "code.")) else 65
        case ResourceError() | LogFailure():
            return 69
        case _:
            return 70


def _usage(error: CycloptsError) -> str:
    return " ".join(str(error).split())


def _say(status: int, message: str, hint: str) -> int:
    _line(sys.stderr, f"tidegate: {message}")
    if hint:
        _line(sys.stderr, f"  hint: {hint}")
    return status


def _line(stream: TextIO, text: str) -> None:
    print(safe(text, lines=True), file=stream)


def _function(name: str) -> str:
    return {"ls": "listing"}.get(name, name)
