"""`tidegate init`: a first configuration that starts, with every line explained.

The auditor's key is written outside the data directory: who holds only the data must not be able to open what the
upstream really sent.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tidegate.errors import ConfigError

from . import screen
from .credentials import write_private


def init(
    directory: Annotated[Path, Parameter(help="Where the two files go.")] = Path(),
    *,
    organisation: Annotated[str, Parameter(help="Your domain; part of the log's name for ever.")] = "example.org",
    gateway: Annotated[str, Parameter(help="Name of this gateway.")] = "gw1",
    auditor_key: Annotated[Path, Parameter(help="Where the auditor's secret key goes.")] = Path("auditor.key"),
) -> None:
    """Write tidegate.yaml, policy.yaml and the auditor's key; existing files are never touched."""
    import pyrage

    key = auditor_key if auditor_key.is_absolute() else directory / auditor_key
    config, policy, data = directory / "tidegate.yaml", directory / "policy.yaml", directory / "data"
    if key.resolve().is_relative_to(data.resolve()):
        raise ConfigError("the auditor's key must not lie in the data directory", path=str(key))
    for path in (config, policy, key):
        if path.exists():
            raise ConfigError("this file exists already", path=str(path), hint="Choose another directory.")
    directory.mkdir(parents=True, exist_ok=True)
    secret = pyrage.x25519.Identity.generate()
    words = {"@ORGANISATION@": organisation, "@GATEWAY@": gateway, "@AUDITOR@": str(secret.to_public())}
    write_private(key, f"{secret}\n")
    config.write_text(_filled("tidegate.yaml", words))
    policy.write_text(_filled("policy.yaml", words))
    screen.note(f"Wrote {config}, {policy} and {key}.")
    screen.note(f"Give {key} to your auditor and remove it from this machine.")
    screen.note(f"Next: add a resource to {config}, then: tidegate serve --config {config}")


def _filled(name: str, words: dict[str, str]) -> str:
    text = resources.files(__package__).joinpath("templates", name).read_text()
    for mark, value in words.items():
        text = text.replace(mark, value)
    return text
