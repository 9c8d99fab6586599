"""``headrace bench``: measure the engine, each figure beside a reference from the same run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path
    from typing import Any, TypeAlias

    from ops.lab.bench.figures import Comparison, Tell
    from ops.settings import Settings
    from streams.journey import JourneyName

    Run: TypeAlias = Callable[[Settings, Path, Tell], Awaitable[list[Comparison]]]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Measure the engine against a reference in the same run. Starts the brokers it needs.",
)
Rounds = Annotated[int, typer.Option(min=1, max=100, help="Rounds; each measures product and reference in turn.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line; the last has every ratio.")]
Journeys = Annotated[
    Literal["compact", "split", "both", "none"], typer.Option("--journey", help="Journey to measure as a whole.")
]


@app.command("chain")
def chain(
    records: Annotated[int, typer.Option(min=1, help="Records through one hop in each round.")] = 20_000,
    requests: Annotated[int, typer.Option(min=1, help="Requests through a whole journey in each round.")] = 2_000,
    rounds: Rounds = 3,
    journey: Journeys = "compact",
    as_json: AsJson = False,
) -> None:
    """Measure CPU per record against plain aiokafka: one transactional hop, and the whole journey."""
    from functools import partial

    from ops.lab.bench import chain

    plan = chain.ChainPlan(records, requests, rounds, _journeys(journey))
    _measure("chain", partial(chain.run, plan), as_json=as_json)


@app.command("latency")
def latency(
    seconds: Annotated[float, typer.Option(min=0.1, help="Seconds of each round.")] = 4,
    rate: Annotated[float, typer.Option(min=1, help="Records a second.")] = 100,
    rounds: Rounds = 3,
    journey: Journeys = "compact",
    as_json: AsJson = False,
) -> None:
    """Measure the time from a client's write to a committed read: one hop of 8 shards, and the whole journey."""
    from functools import partial

    from ops.lab.bench import latency

    plan = latency.LatencyPlan(seconds, rate, rounds, _journeys(journey))
    _measure("latency", partial(latency.run, plan), as_json=as_json)


@app.command("inflight")
def inflight(
    runs: Annotated[list[int], typer.Option(min=1, help="Concurrent runs; may be repeated.")] = [64, 1_000, 5_000],  # noqa: B006 - typer's way to have a default
    starts: Annotated[float, typer.Option(min=0, help="Runs that start a second; 0 starts all at once.")] = 0,
    seconds: Annotated[float, typer.Option(min=0.01, help="Seconds of each model call, with --starts.")] = 20,
    client: Annotated[Literal["openai", "thin"], typer.Option(help="Model client, with --starts.")] = "thin",
    rounds: Rounds = 1,
    as_json: AsJson = False,
) -> None:
    """Measure wall clock and memory of many concurrent model calls of one second each.

    With --starts, one round of calls of --seconds; then the 99th percentile and the membership errors are reported.
    """
    from functools import partial

    from ops.lab.bench import inflight, long_runs

    if starts:
        long = long_runs.LongRunsPlan(runs[-1], seconds, starts, client)
        _measure("inflight", partial(long_runs.run, long), as_json=as_json)
        return
    plan = inflight.InflightPlan(tuple(runs), rounds)
    _measure("inflight", partial(inflight.run, plan), as_json=as_json)


@app.command("models")
def models(
    calls: Annotated[int, typer.Option(min=1, help="Calls of each client in each round.")] = 2_000,
    in_flight: Annotated[int, typer.Option(min=0, help="Measure so many long calls at once instead.")] = 0,
    seconds: Annotated[float, typer.Option(min=0.01, help="Seconds of a long call.")] = 20,
    starts: Annotated[float, typer.Option(min=1, help="Long calls that start a second.")] = 250,
    client: Annotated[list[str], typer.Option(help="thin or openai; may be repeated.")] = ["thin", "openai"],  # noqa: B006 - typer's way to have a default
    rounds: Rounds = 3,
    as_json: AsJson = False,
) -> None:
    """Measure CPU per model call against bare aiohttp, or the delay and memory of long calls in flight."""
    from functools import partial

    from ops.lab.bench import models

    if unknown := set(client) - models.GOALS.keys():
        raise typer.BadParameter(f"no client named {unknown.pop()}: thin or openai")
    plan = models.ModelsPlan(calls, rounds, in_flight, seconds, starts, tuple(client))
    _measure("models", partial(models.run, plan), as_json=as_json)


@app.command("tenants")
def tenants(
    count: Annotated[
        int, typer.Option("--tenants", min=2, help="Number of tenants, measured against one tenant.")
    ] = 1_000,
    requests: Annotated[int, typer.Option(min=1, help="Requests of all tenants together in each round.")] = 2_000,
    entries: Annotated[int, typer.Option(min=2, help="Admission events to read.")] = 100_000,
    rounds: Rounds = 3,
    as_json: AsJson = False,
) -> None:
    """Compare many tenants with one: CPU per request, start time, and time to open an admission controller."""
    from functools import partial

    from ops.lab.bench import tenants

    plan = tenants.TenantsPlan(count, requests, entries, rounds)
    _measure("tenants", partial(tenants.run, plan), as_json=as_json)


@app.command("neighbours")
def neighbours(
    disturbance: Annotated[
        list[str] | None,
        typer.Option(help="flood, garbage, cancels, unwritable, 'long texts', 'plain texts', 'slow key'; else all."),
    ] = None,
    seconds: Annotated[float, typer.Option(min=1, help="Seconds of each quiet and each noisy window.")] = 6,
    rate: Annotated[float, typer.Option(min=0.1, help="Requests a second of the measured tenant.")] = 10,
    times: Annotated[
        float, typer.Option(min=1, help="Load of the other tenant, as a multiple of its fair share.")
    ] = 100,
    rounds: Rounds = 3,
    as_json: AsJson = False,
) -> None:
    """Measure how long a tenant waits for results while another one is quiet or disruptive by turns."""
    from functools import partial

    from ops.lab.bench import neighbours
    from ops.lab.neighbours.experiment import ExperimentPlan

    plan = neighbours.NeighboursPlan(
        ExperimentPlan(rounds=rounds, seconds=seconds, rate=rate, times=times), tuple(disturbance or ())
    )
    _measure("neighbours", partial(neighbours.run, plan), as_json=as_json)


@app.command("journal")
def journal(
    runs: Annotated[int, typer.Option(min=1, help="Concurrent runs.")] = 100,
    steps: Annotated[int, typer.Option(min=1, help="Steps of each run.")] = 20,
    rounds: Rounds = 3,
    as_json: AsJson = False,
) -> None:
    """Measure the CPU time of a tool step's two journal writes, against plain commands and against no journal."""
    from functools import partial

    from ops.lab.bench import journal

    _measure("journal", partial(journal.run, journal.JournalPlan(runs, steps, rounds)), as_json=as_json)


@app.command("budgets")
def budgets(
    calls: Annotated[int, typer.Option(min=1, help="Round trips of each kind in each round.")] = 1_000,
    quantile: Annotated[float, typer.Option(min=0, max=1, help="Quantile that is reported.")] = 0.5,
    rounds: Rounds = 3,
    as_json: AsJson = False,
) -> None:
    """Measure the round trips of a model call's reservation in Valkey, against a PING and an empty script."""
    from functools import partial

    from ops.lab.bench import budgets

    _measure("budgets", partial(budgets.run, budgets.BudgetsPlan(calls, rounds, quantile)), as_json=as_json)


@app.command("texts")
def texts(rounds: Rounds = 3, as_json: AsJson = False) -> None:
    """Measure the CPU time of the guards for a megabyte of text of each alphabet."""
    from functools import partial

    from ops.lab.bench import texts

    _measure("texts", partial(texts.run, texts.TextsPlan(rounds)), as_json=as_json)


@app.command("guards")
def guards(
    calls: Annotated[int, typer.Option(min=20, help="Short texts of each round.")] = 320,
    rounds: Rounds = 3,
    as_json: AsJson = False,
) -> None:
    """Measure the CPU time of each input guard and of the pipeline, for texts of several lengths."""
    from functools import partial

    from ops.lab.bench import guards

    _measure("guards", partial(guards.run, guards.GuardsPlan(calls=calls, rounds=rounds)), as_json=as_json)


def _journeys(chosen: str) -> tuple[JourneyName, ...]:
    named: dict[str, tuple[JourneyName, ...]] = {
        "compact": ("compact",),
        "split": ("split",),
        "both": ("compact", "split"),
        "none": (),
    }
    return named[chosen]


def _measure(bench: str, run: Run, *, as_json: bool) -> None:
    """Run the benchmark, print each figure as it comes, and all ratios at the end."""
    from ops import logs
    from ops.cli import output, stack
    from ops.cli.command_settings import settings_with
    from ops.lab.bench.figures import summary
    from ops.lab.bench.machine import measured

    settings = settings_with(None)
    logs.configure(settings.model_copy(update={"log_level": "error"}), command=True, stage="bench")

    def tell(line: dict[str, Any]) -> None:
        if as_json:
            output.line({"bench": bench, **line})
        else:
            output.note("  ".join(str(value) for value in line.values()))

    with stack.kept_if_it_fails() as folder:
        comparisons, machine = measured(run(settings, folder, tell))
    if as_json:
        for each in comparisons:
            output.line({"bench": bench, **each.row()})
        output.line(summary(bench, comparisons, **machine))
    else:
        _show(bench, comparisons, machine)


def _show(bench: str, comparisons: Sequence[Comparison], machine: dict[str, Any]) -> None:
    from ops.cli import output

    rows = [
        (row["what"], row["value"], row["unit"], row["against"], row["reference"], row.get("goal"), row["ratio"])
        for row in (each.row() for each in comparisons)
    ]
    output.table(f"headrace bench {bench}", ("", "", "", "against", "", "goal", "ratio"), rows)
    output.note("  ".join(f"{name} {value}" for name, value in machine.items()))
