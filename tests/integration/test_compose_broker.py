"""The broker of the compose file, without Docker: a real Kafka of the same version knows each of its settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from ops.embedded.kafka import Kafka, embedded_kafka
from tests.contract.compose import MAIN, resolved
from tests.contract.planted import ROOT

pytestmark = pytest.mark.anyio

LISTENING = {"listeners", "advertised.listeners", "listener.security.protocol.map", "controller.listener.names"}
PLACES = LISTENING | {"inter.broker.listener.name", "controller.quorum.voters", "log.dirs", "heap.opts"}
"""Addresses and folders of the container, which are other ones here."""


def _given() -> dict[str, str]:
    """The settings of the compose file, by Kafka's names."""
    environment = resolved(MAIN)["services"]["kafka"]["environment"]
    names = {name: name.removeprefix("KAFKA_").lower().replace("_", ".") for name in environment}
    return {names[name]: value for name, value in environment.items() if name.startswith("KAFKA_")}


async def _known(kafka: Kafka) -> dict[str, str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        answers: Any = await admin.describe_configs([ConfigResource(ConfigResourceType.BROKER, "1")])
    finally:
        await admin.close()
    return {entry[0]: entry[1] for answer in answers for *_, entries in answer.resources for entry in entries}


async def test_the_broker_takes_the_settings_of_the_compose_file(embedded_cache: Path, tmp_path: Path) -> None:
    """A misspelled one is a warning in a log, and the default of a cluster of three brokers."""
    given = _given()
    own = {name: value for name, value in given.items() if name not in PLACES}
    async with embedded_kafka(tmp_path, embedded_cache, more=own) as kafka:
        known = await _known(kafka)

    assert {name: known.get(name) for name in own} == own
    assert set(given) - {"heap.opts"} <= known.keys()


def test_the_image_has_the_version_that_is_tested() -> None:
    """Or the tests speak of another broker than the one that runs."""
    lock = json.loads((ROOT / "ops/embedded/kafka.lock.json").read_text(encoding="utf-8"))
    image = resolved(MAIN)["services"]["kafka"]["image"].partition("@")[0]

    assert f"org.apache.kafka:kafka_2.13:{image.partition(':')[2]}" in lock["endpoints"]
