"""Run a local platform from the terminal: its folder, its signals, and its download bar."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from ops.cli import output
from ops.dev.platform import DevPlatform, Startup
from ops.embedded.folders import is_data_folder, keep_private
from ops.errors import InvalidError
from ops.failures import INTERRUPTED

if TYPE_CHECKING:
    from ops.dev.scenario_source import ScenarioSource
    from ops.settings import Settings
    from streams.journey import JourneyName

STARTING = "starting Kafka, Valkey, a model and the stages (the first time, Kafka is fetched)"
ECHO_S = 0.5
"""Seconds in which a second signal counts as the first: one Ctrl-C may reach both the process and its group."""

Arrived: TypeAlias = Callable[[int, int], None]
"""A function that takes the bytes that have arrived and the bytes in total."""

Use: TypeAlias = Callable[[DevPlatform, asyncio.Event], Awaitable[None]]
"""A function that uses a running platform; the event is set when it has to end."""


@contextmanager
def folder_of(data: Path | None) -> Generator[Path]:
    """Yield the named folder, created if needed; without a name, a folder that is removed at the end.

    Only this user may look into it: it holds records, passwords and logs.
    """
    if data is not None:
        yield _data_folder(data)
        return
    folder = Path(tempfile.mkdtemp(prefix="headrace-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def journey_for(settings: Settings, wanted: JourneyName | None = None) -> JourneyName:
    """Return the journey to run: that of the cluster in *settings*; without a cluster, the wanted one or ``compact``.

    Raises InvalidError if the cluster has another journey than the wanted one.
    """
    if settings.kafka_bootstrap is None:
        return wanted or "compact"
    from ops.dev.setup import existing_layout

    found = (await existing_layout(settings)).journey
    if wanted not in (None, found):
        raise InvalidError(f"the cluster has the journey {found}, not {wanted}: leave --journey out")
    return found


def scenario_of(file: Path | None, *, scripted: bool) -> ScenarioSource | None:
    """Return the scenario of the scripted model that ``--scripted [FILE]`` asks for; None without the option.

    Raises InvalidError for a faulty file, and for a file without the option.
    """
    if not scripted:
        if file is not None:
            raise InvalidError(f"{file} is a scenario for a scripted model: write --scripted {file}")
        return None
    from ops.dev.scenario_source import ScenarioSource
    from ops.embedded.errors import ScenarioFileError

    try:
        return ScenarioSource.of(file)
    except ScenarioFileError as error:
        raise InvalidError(str(error)) from error


def _data_folder(data: Path) -> Path:
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        if is_data_folder(data):  # not the mode of a folder that has other things, such as a home
            keep_private(data)
    except OSError as error:
        raise InvalidError(f"--data {data} cannot be used ({error.strerror}): name a folder that is yours") from error
    return data.resolve()


@contextmanager
def kept_if_it_fails() -> Generator[Path]:
    """Yield a folder that is removed at the end, but kept after an error, which its logs may explain."""
    folder = Path(tempfile.mkdtemp(prefix="headrace-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def download_bar(*, quiet: bool) -> Generator[Arrived]:
    """Yield the callback of a bar on standard error, for the first start, which downloads the broker.

    The bar is drawn only during the download: it would redraw over what the platform prints later.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    hidden = quiet or not sys.stderr.isatty()
    bars = Progress(*columns, console=output.console(errors=True), disable=hidden, transient=True)
    bar = bars.add_task("Kafka", total=None)

    def arrive(arrived: int, total: int) -> None:
        bars.start()
        bars.update(bar, completed=arrived, total=total)
        if arrived >= total:
            bars.stop()

    try:
        yield arrive
    finally:
        bars.stop()


@dataclass(slots=True)
class Signals:
    """The signal handler: the first Ctrl-C or SIGTERM stops cleanly; the second ends every process at once."""

    bringing: Startup
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    """The task to cancel on a signal; None while ``stop`` is awaited."""

    first_at: float = 0.0

    def __call__(self) -> None:
        """Handle one signal."""
        now = asyncio.get_running_loop().time()
        if not self.stop.is_set():
            self.first_at = now
        elif now - self.first_at > ECHO_S:
            self.bringing.kill()
            os._exit(INTERRUPTED)
        self.stop.set()
        if self.task is not None:
            self.task.cancel()


async def use(bringing: Startup, what: Use) -> None:
    """Start the platform, run *what* with it, and stop it, stages first. A signal ends it at any time."""
    signals = Signals(bringing)
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, signals)
    async with asyncio.TaskGroup() as tasks:
        signals.task = tasks.create_task(_use(bringing, what, signals))


async def _use(bringing: Startup, what: Use, signals: Signals) -> None:
    async with bringing.running() as platform:
        signals.task = None
        await what(platform, signals.stop)
