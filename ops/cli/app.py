"""The command line: ``headrace NOUN VERB``. Each command imports what it needs when it runs."""

from __future__ import annotations

import sys

from ops import early_stop

if __name__ == "__main__":
    early_stop.install_for(sys.argv[1:])

import gc

import typer

from ops.cli import (
    bench,
    budgets,
    cancel,
    chaos,
    config,
    demo,
    dev,
    guard,
    output,
    plugins,
    results,
    run,
    schemas,
    submit,
    tenants,
    topics,
)
from ops.failures import FAILED, INTERRUPTED, report

app = typer.Typer(
    name="headrace",
    help="Production AI agents on Kafka. Exit codes: 0 succeeded, 1 failed, 2 usage, 3 refused, 4 expired,"
    " 5 cancelled.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("dev")(dev.dev)
app.command("demo")(demo.demo)
app.command("chaos")(chaos.chaos)
app.command("run")(run.run)
app.command("submit")(submit.submit)
app.command("cancel")(cancel.cancel)
app.command("results")(results.results)
app.command("config")(config.config)
app.command("plugins")(plugins.plugins)
app.add_typer(bench.app, name="bench")
app.add_typer(guard.app, name="guard")
app.add_typer(tenants.app, name="tenants")
app.add_typer(budgets.app, name="budgets")
app.add_typer(topics.app, name="topics")
app.add_typer(schemas.app, name="schemas")

YOUNG = 100_000
"""Objects between two collections of the youngest generation. Each library that a command imports makes some ten
thousand objects, which stay. Collecting among them would take a tenth of a short command's time."""


def main() -> None:
    """Run the command that the arguments name, and exit with its code."""
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
    sys.exit(execute(sys.argv[1:]))


def execute(arguments: list[str]) -> int:
    """Run one command and return the exit code. An error becomes one line on standard error."""
    try:
        return int(app(arguments, prog_name="headrace", standalone_mode=False) or 0)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        output.close()  # the reader has closed the pipe, as `head` does
        return FAILED
    except Exception as error:  # noqa: BLE001 - the last place where an error can still become a sentence
        return report(error, debug=_debugging())


def _debugging() -> bool:
    from ops.settings import debugging

    return debugging()


if __name__ == "__main__":
    main()
