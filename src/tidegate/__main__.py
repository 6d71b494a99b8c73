"""`tidegate` and `python -m tidegate`: nothing but the way into the command line."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its status."""
    from tidegate.cli.main import main as run

    sys.exit(run())


if __name__ == "__main__":
    main()
