"""The real broker and the real Valkey, once for all tests of a session, and only if one asks for them."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Iterable
from pathlib import Path

import pytest

from ops.embedded.folders import user_cache
from ops.embedded.kafka import Kafka, embedded_kafka
from ops.embedded.valkey import Valkey, embedded_valkey


@pytest.hookimpl(tryfirst=True)  # before xdist reads the mark
def pytest_collection_modifyitems(items: Iterable[pytest.Function]) -> None:
    """Say which tests stay together where several processes share the suite."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(together(item)))


def together(item: pytest.Function) -> str:
    """One word for all tests of a file; those that share a platform or a bare cluster, which cost seconds, stay with
    that instead.
    """
    if "platform" in item.fixturenames:
        return f"platform-{item.callspec.params['platform']}"
    return "bare" if "bare_kafka" in item.fixturenames else item.path.stem


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """One loop for the whole session, on the main thread: fixtures of all scopes share it."""
    return "asyncio"


@pytest.fixture(scope="session")
def embedded_cache() -> Path:
    """Kafka's jars, fetched by the first session ever and shared with ``headrace dev``."""
    return user_cache(os.environ.get("XDG_CACHE_HOME"))  # noqa: TID251  (where the machine's user has it)


@pytest.fixture(scope="session")
async def kafka(
    anyio_backend: str, embedded_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Kafka]:
    """A running broker, shared: use a tenant, a topic and a group of your own."""
    async with embedded_kafka(tmp_path_factory.mktemp("kafka"), embedded_cache) as broker:
        yield broker


@pytest.fixture(scope="session")
async def valkey(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Valkey]:
    """A running Valkey, shared: use keys of your own tenant."""
    async with embedded_valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server
