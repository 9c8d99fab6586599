"""Run one stage with a settable clock: ``python -m ops.lab.chaos.stage STAGE``, otherwise as ``headrace run`` does."""

from __future__ import annotations

from ops import early_stop

if __name__ == "__main__":
    early_stop.install()

import os
import sys
from pathlib import Path

from ops.lab.chaos.agents import MODULE
from ops.lab.chaos.clock import SettableClock, setting_of
from ops.processes import run_alone
from ops.settings import Settings, debugging


def main(stage: str) -> int:
    """Run the stage until it is stopped, and return the exit status."""
    try:
        clock = SettableClock(setting_of(Path.cwd(), os.getpid()))
        run_alone(stage, Settings.model_validate({"agents": MODULE}), clock=clock)
    except Exception as error:  # noqa: BLE001 - the last place where an error can still become a sentence
        from ops.failures import report  # noqa: PLC0415 - only for this

        return report(error, debug=debugging())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
