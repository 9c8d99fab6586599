"""The entry point of ``headrace``: handle stop signals first, then import the command line."""

from __future__ import annotations

import sys

from ops import early_stop


def main() -> None:
    """Run the command that the arguments name, and exit with its code."""
    early_stop.install_for(sys.argv[1:])
    from ops.cli.app import main as run

    run()
