"""The way of a request, and that a wrong way does not type-check."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from consumers.context import StepContext
from schemas.envelopes import open_envelope
from schemas.requests import Request
from schemas.results import Result
from schemas.stage_records import Screened
from schemas.tenants import Layout
from streams.journey import (
    DEPLOYED,
    INGRESS_GROUP,
    INNER_GROUPS,
    JOURNEYS,
    RETRIES,
    Journey,
    JourneyName,
    compact,
    fused,
    group_of,
    ingress_group,
    split,
    versioned,
)
from streams.stages.ingress import SIZES
from tests.unit.streams.engine.shard_setup import ACME, StillClock, registry, request_record, steps

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[3]

RIGHT = """
from typing import Any
from consumers.context import StepContext
from schemas import topics
from schemas.stage_records import Authorized, Screened
from schemas.requests import Request
from schemas.results import Result
from schemas.tenants import Layout
from schemas.topics import Topic
from streams.journey import Journey, Stage, Steps, fused

async def authorize(request: Request, context: StepContext) -> Authorized: raise NotImplementedError
async def screen(authorized: Authorized, context: StepContext) -> Screened: raise NotImplementedError
async def execute(screened: Screened, context: StepContext) -> Result: raise NotImplementedError
async def boast(request: Request, context: StepContext) -> Result: raise NotImplementedError
def blocking(authorized: Authorized, context: StepContext) -> Screened: raise NotImplementedError
async def careless(authorized: Authorized) -> Screened: raise NotImplementedError

auth = Stage("auth", reads=topics.REQUESTS, run=authorize, writes=topics.AUTHORIZED)
guard = Stage("guard", reads=topics.AUTHORIZED, run=screen, writes=topics.SCREENED)
agent = Stage("agent", reads=topics.SCREENED, run=execute, writes=topics.RESULTS)
admission = Stage("ingress", reads=topics.REQUESTS, run=fused(authorize, screen), writes=topics.SCREENED)
Journey(auth, guard, agent)
Journey(admission, agent)
Steps(authorize=authorize, screen=screen, execute=execute)
"""

WRONG = (
    ("skips auth", "Journey(guard, agent)"),
    ("skips the guards", "Journey(auth, agent)"),
    ("ends early", "Journey(auth, guard)"),
    ("is one stage only", "Journey(admission)"),
    ("swaps two stages", "Journey(guard, auth, agent)"),
    ("runs backwards", "Journey(agent, guard, auth)"),
    ("screens twice", "Journey(admission, guard, agent)"),
    ("writes to a wrong topic", 'Stage("auth", reads=topics.REQUESTS, run=authorize, writes=topics.SCREENED)'),
    ("reads from a wrong topic", 'Stage("guard", reads=topics.REQUESTS, run=screen, writes=topics.SCREENED)'),
    ("fuses in the wrong order", "fused(screen, authorize)"),
    ("fuses past a stage", "fused(authorize, execute)"),
    ("has a step that blocks", 'Stage("guard", reads=topics.AUTHORIZED, run=blocking, writes=topics.SCREENED)'),
    ("has a step without context", 'Stage("guard", reads=topics.AUTHORIZED, run=careless, writes=topics.SCREENED)'),
    ("names no stage of ours", 'Stage("sneak", reads=topics.SCREENED, run=execute, writes=topics.RESULTS)'),
    ("mixes up steps", "Steps(authorize=boast, screen=screen, execute=execute)"),
    ("widens a topic: then every step would fit it", "wide: Topic[Request | Authorized] = topics.REQUESTS"),
    ("widens a stage", "anything: Stage[Request, Authorized | Screened] = auth"),
)


def faults(source: str, folder: Path) -> dict[int, str]:
    """What mypy says, by line. It may have said so before, of the same text elsewhere: its cache keeps the old path."""
    path = folder / "journeys.py"
    path.write_text(source)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--hide-error-context", str(path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=110)
    assert ran.returncode in {0, 1}, ran.stdout + ran.stderr
    found = re.findall(rf"^\S*{path.name}:(\d+): error: (.*)$", ran.stdout, re.MULTILINE)
    return {int(line): message for line, message in found}


def test_a_wrong_journey_does_not_type_check_and_a_right_one_does(tmp_path: Path) -> None:
    """Skipping auth is a mistake that must not wait for a test to be found: and each wrong way is one of its own."""
    first = RIGHT.count("\n") + 1
    source = RIGHT + "\n".join(line for _, line in WRONG) + "\n"

    found = faults(source, tmp_path)

    unnoticed = [what for number, (what, _) in enumerate(WRONG) if first + number not in found]
    assert unnoticed == []
    assert {line: message for line, message in found.items() if line < first} == {}


async def test_two_steps_as_one_pass_the_value_on() -> None:
    """The compact journey runs the very steps of the split one."""
    known, context = steps(registry()), StepContext(tenant=ACME, clock=StillClock(), envelope=None)
    envelope = open_envelope(request_record(), SIZES)
    here = StepContext(tenant=context.tenant, clock=context.clock, envelope=envelope)

    screened = await fused(known.authorize, known.screen)(envelope.request(), here)

    assert isinstance(screened, Screened)
    assert screened.text == "hello"
    assert screened.authorized.request_id == "r-1"


def test_each_journey_reads_requests_in_one_group_and_hands_on_what_the_next_stage_reads() -> None:
    """Two groups on one request topic would answer everything twice."""
    known = steps(registry())
    for made in (split(known), compact(known)):
        first, *rest = made.stages
        assert first.group == INGRESS_GROUP
        assert first.reads.payload is Request
        assert [stage.writes for stage in made.stages[:-1]] == [stage.reads for stage in rest]
        assert made.stages[-1].writes.payload is Result
        for stage in rest:
            assert INNER_GROUPS[stage.group] == (stage.reads,)
    assert set(JOURNEYS) == {"split", "compact"}


def test_a_stage_is_found_by_its_name() -> None:
    """It is what a process is started as."""
    made: Journey = split(steps(registry()))

    assert [stage.name for stage in made.stages] == ["auth", "guard", "agent"]
    assert made.stage("guard") is made.stages[1]
    assert made.stage("ingress") is None


@pytest.mark.parametrize("name", list(JOURNEYS))
def test_what_is_deployed_is_the_journey_and_the_mover(name: JourneyName) -> None:
    """A stage that is in one list and not in the other would never be started, or never be let."""
    journey = JOURNEYS[name](steps(registry()))

    assert DEPLOYED[name] == (*(stage.name for stage in journey.stages), RETRIES)


def test_a_later_layout_has_groups_of_its_own() -> None:
    """What the layout before committed under the plain name stays there, and is copied once."""
    assert [group_of("ingress", version) for version in (1, 2)] == [INGRESS_GROUP, f"{INGRESS_GROUP}.2"]
    assert versioned("headrace.agent", 3) == group_of("agent", 3) == "headrace.agent.3"
    assert [ingress_group(layout) for layout in (None, Layout(), Layout(version=2))] == [
        INGRESS_GROUP,
        INGRESS_GROUP,
        f"{INGRESS_GROUP}.2",
    ]
