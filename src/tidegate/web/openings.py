"""Sealed compartments of leaves, opened with the gateway's replay identity and compared with their commitments."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidegate.audit.seal import OpenVault, check_opening, open_vault
from tidegate.errors import IntegrityError, TidegateError


class Openings:
    """Opens compartments; keeps the vaults it has opened. Blocking; for one request."""

    def __init__(self, directory: Path, identity: str) -> None:
        self._directory = directory
        self._identity = identity
        self._vaults: dict[uuid.UUID, OpenVault] = {}

    def all(self, leaf: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
        """Every compartment of a leaf that opens, and why the others do not."""
        opened, closed = dict[str, str](), dict[str, str]()
        for name in leaf.get("c", {}):
            try:
                opened[name] = self.text(leaf, name)
            except TidegateError as error:
                closed[name] = error.message
        return opened, closed

    def text(self, leaf: Mapping[str, Any], compartment: str) -> str:
        """One compartment as text. Raises IntegrityError or ConfigError when it does not open to what the leaf says."""
        salt, plaintext = self._vault(leaf).opening(_place(leaf, compartment), compartment)
        if not check_opening(leaf["c"][compartment], salt, plaintext):
            raise IntegrityError(
                f"What is sealed as {compartment} of leaf {leaf['i']} is not what the leaf commits to."
            )
        return plaintext.decode("utf-8", "backslashreplace")

    def _vault(self, leaf: Mapping[str, Any]) -> OpenVault:
        """The session's vault, or that of the process for leaves that belong to no session."""
        sid = uuid.UUID(leaf.get("sid") or leaf["b"])
        if sid not in self._vaults:
            self._vaults[sid] = open_vault(self._directory, sid, self._identity)
        return self._vaults[sid]


def _place(leaf: Mapping[str, Any], compartment: str) -> int:
    """The leaf under whose index a compartment is sealed: facts that several intents rest on are sealed once."""
    own: int = leaf["i"]
    return int(leaf["dec"].get("at", own)) if compartment == "dec" and "dec" in leaf else own
