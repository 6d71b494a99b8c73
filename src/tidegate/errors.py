"""The error tree, by whose fault it is.

TidegateError
├── AgentError       the agent's bytes or credential are at fault
├── Refused          policy, or the lack of a grant, says no
├── ResourceError    the upstream is at fault
├── ConfigError      a file the operator wrote is at fault
├── IntegrityError   evidence does not hold
└── LogFailure       evidence cannot be written: nothing may take effect

Errors are caught at three places only: the session boundary, the API boundary, the CLI's main.
"""

from __future__ import annotations

from collections.abc import Mapping


class TidegateError(Exception):
    """What happened (``message``), what to do about it (``hint``), and a stable ``code``."""

    code = "tidegate.error"

    def __init__(self, message: str, *, hint: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code


class AgentError(TidegateError):
    """The agent sent what cannot be understood, or a credential that does not hold.

    ``details`` are what a program needs to go on (JSON values); they are for the caller's eyes.
    """

    code = "agent.malformed"

    def __init__(
        self, message: str, *, hint: str = "", code: str | None = None, details: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(message, hint=hint, code=code)
        self.details = details or {}


class Refused(TidegateError):
    """A rule, or the lack of one, says no."""

    code = "refused"

    def __init__(self, message: str, *, rule: str = "", hint: str = "", code: str | None = None) -> None:
        super().__init__(message, hint=hint, code=code)
        self.rule = rule


class ResourceError(TidegateError):
    """The upstream is down, dies, or does not keep to its protocol."""

    code = "resource.failed"


class ConfigError(TidegateError):
    """A file the operator wrote is wrong; ``path`` says where (``file:line`` where known)."""

    code = "config.invalid"

    def __init__(self, message: str, *, path: str = "", hint: str = "", code: str | None = None) -> None:
        super().__init__(f"{path}: {message}" if path else message, hint=hint, code=code)
        self.path = path


class IntegrityError(TidegateError):
    """Stored evidence contradicts itself; ``status`` is the exit status for it."""

    code = "audit.integrity"

    def __init__(self, message: str, *, hint: str = "", status: int = 65, code: str | None = None) -> None:
        super().__init__(message, hint=hint, code=code)
        self.status = status


class LogFailure(TidegateError):
    """The audit log cannot be written or synced. Final: nothing is retried, nothing is forwarded."""

    code = "audit.unavailable"
