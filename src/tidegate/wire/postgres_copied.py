"""The data of a COPY TO STDOUT, looked into where no tag protects it.

What a tag protects is refused before it begins, so that here only text is searched, a message at a time: the server
sends a row in each (PostgreSQL documentation, "COPY Operations"). A binary row says how long its values are, so that
nothing in it can be replaced: one in which something is found ends the session.
"""

from __future__ import annotations

from typing import Final

from tidegate.errors import ResourceError
from tidegate.model.operation import Transform

from ._frames import HEADER
from .postgres_messages import message


class Copied:
    """Applies ``scan`` to the rows of one COPY."""

    def __init__(self, scan: Transform, *, binary: bool) -> None:
        self._scan: Final = scan
        self._binary: Final = binary
        self._suspicious = getattr(scan, "suspicious", None)

    def rewrite(self, data: bytes, at: int, end: int) -> tuple[bytes | None, int]:
        """The messages in ``at:end`` as they may pass, None if that is as they came; and how many were changed.

        Raises ResourceError for a binary row with a finding.
        """
        if self._suspicious is not None and not self._suspicious(data[at:end]):
            return None, 0
        parts: list[bytes] = []
        changed = 0
        while at < end:
            stop = at + 1 + int.from_bytes(data[at + 1 : at + HEADER], "big")
            body = data[at + HEADER : stop]
            clean = self._scan(body) or b""
            if clean is not body:
                self._refuse_binary()
                changed += 1
            parts.append(data[at:stop] if clean is body else message(data[at : at + 1], clean))
            at = stop
        return (b"".join(parts), changed) if changed else (None, 0)

    def _refuse_binary(self) -> None:
        if self._binary:
            raise ResourceError(
                "A sensitive value was found in binary bulk output, where it cannot be masked.",
                hint="Copy as text or CSV.",
                code="masking.refused",
            )
