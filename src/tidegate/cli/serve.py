"""`tidegate serve`: run the gateway in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def serve(*, config: Annotated[Path, Parameter(help="The gateway's configuration.")] = Path("tidegate.yaml")) -> None:
    """Run until interrupted or terminated. While nobody is enrolled the one-time bootstrap code is printed."""
    from tidegate.app.run import serve as run
    from tidegate.settings import load

    run(load(config))
