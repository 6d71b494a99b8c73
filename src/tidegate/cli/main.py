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
        "connect": "Start a native client on a resource.",
        "env": "Print variables with which any native client finds a resource.",
        "kill": "End what a session, an identity, a resource or everybody may do, now.",
        "login": "Log in: through a browser, by password, or with a one-time code.",
        "logout": "Forget the login.",
        "whoami": "Say who you are to the gateway.",
    },
    "people": {
        "add": "Add a person; prints a one-time code.",
        "code": "Print another one-time code.",
        "disable": "End a person's logins, tokens and sessions, for good.",
        "link": "Say who somebody is at an identity provider.",
        "links": "List how a person is known at identity providers.",
        "unlink": "End a link.",
        "ls": "List people.",
    },
    "agents": {
        "add": "Add an agent of yours.",
        "show": "Show an agent's owner and bindings.",
        "bind": "Make an issuer's tokens an agent's credential.",
        "unbind": "End a binding, and the sessions that came by it.",
        "disable": "End an agent's tokens and sessions, for good.",
        "ls": "List agents.",
    },
    "services": {
        "add": "Add a service, which connects with its own token.",
        "show": "Show a service's owner and bindings.",
        "bind": "Make an issuer's tokens a service's credential.",
        "unbind": "End a binding, and the sessions that came by it.",
        "disable": "End a service's tokens and sessions, for good.",
        "ls": "List services.",
    },
    "credentials": {
        "add": "Add one-time passwords, an ssh key, a passkey, or another password.",
        "ls": "List what you prove with that it is you.",
        "rm": "Remove a credential of yours.",
    },
    "token": {
        "create": "Mint a token and its grant; prints only the token.",
        "exchange": "Exchange a workload's own token for one of a resource.",
        "ls": "List tokens.",
        "revoke": "End a token or a grant, and the sessions it carries.",
    },
    "request": {
        "new": "Ask for access to a resource.",
        "ls": "List requests.",
        "show": "Show a request, and wait for its answer.",
        "withdraw": "Take a request back.",
    },
    "grants": {"ls": "List grants."},
    "break-glass": {
        "open": "Get in now; everybody is told.",
        "ls": "List broken glass.",
        "review": "Say what you found.",
    },
    "approvals": {
        "ls": "List what waits for an answer.",
        "show": "Show exactly what would run, for whom, and why.",
        "wait": "Wait until it is answered.",
        "try": "Do it, show what it did, and take it back.",
        "approve": "Let it run, once.",
        "refuse": "Say no.",
    },
    "secret": {
        "set": "Keep a secret for logging in upstream; typed or piped, never an argument.",
        "ls": "List secrets, never their values.",
        "rm": "Forget a secret.",
    },
    "notices": {
        "ls": "List what people were told outside, and whether it arrived.",
        "retry": "Send one that failed once more.",
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
    "policy": {
        "check": "Check policy files.",
        "status": "Say which policy is in force, and how another may be.",
        "propose": "Propose what the files say, for others to approve.",
        "explain": "Say what would happen to a statement, and why.",
    },
}
"""Groups, their commands and what they do; command `token create` is the function `create` in cli/token.py."""

_GROUPS = {
    "people": "Who may log in.",
    "agents": "What acts for people.",
    "services": "What runs by itself, and who answers for it.",
    "credentials": "What you prove with that it is you.",
    "token": "Short-lived tokens, each with a grant.",
    "request": "Access that is asked for before it is used.",
    "grants": "Who may use what, until when.",
    "break-glass": "Emergencies, and their review.",
    "approvals": "Held operations and the people who answer.",
    "secret": "What the gateway keeps to log in upstream.",
    "notices": "What people are told outside of the gateway.",
    "sessions": "What is going on, and what went on.",
    "audit": "The log and its proof.",
    "policy": "The rules.",
}
_USUAL = {"break-glass": "open"}
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
            target.command(
                f"{__package__}.{_module(group or _TOP.get(name, name))}:{_function(name)}", name=name, help=text
            )
        if group:
            app.command(target)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status (``STATUS``); never raises."""
    try:
        result = build()(
            _spelled_out(sys.argv[1:] if arguments is None else list(arguments)),
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
            return 77 if error.code.startswith(("auth.", "token.", "identity.", "code.", "login.", "stepup.")) else 65
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


def _spelled_out(arguments: list[str]) -> list[str]:
    """With the command that a group has for a name alone, such as `break-glass shop`."""
    group, named = arguments[:1], arguments[1:2]
    usual = _USUAL.get(group[0]) if group and named else None
    if usual is None or named[0].startswith("-") or named[0] in COMMANDS[group[0]]:
        return arguments
    return [*group, usual, *arguments[1:]]


def _module(name: str) -> str:
    # The credentials that a terminal keeps are in cli/credentials.py; those of a person are this command's.
    return {"credentials": "wallet"}.get(name, name.replace("-", "_"))


def _function(name: str) -> str:
    return {"ls": "listing", "try": "attempt", "set": "set_"}.get(name, name)
