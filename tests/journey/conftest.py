"""One platform for each journey, shared by the tests of a session: each takes a tenant or sessions of its own."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.journey import platform as journeys
from tests.journey.platform import Platform


@pytest.fixture(scope="session", params=["compact", "split"])
def platform(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[Platform]:
    """``headrace dev`` with the scripted model, in the journey that the test is run for."""
    journey = str(request.param)
    with journeys.platform(journey, tmp_path_factory.mktemp(journey)) as running:
        yield running
