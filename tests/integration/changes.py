"""What an operator may do to a topic while it is written to: give it another limit, or forbid it."""
# ruff: noqa: SLF001 - the product has no use for these, and its admin client is the way in

from __future__ import annotations

import asyncio
from typing import Any

import aiokafka.admin.config_resource as theirs
import aiokafka.protocol.admin as protocol

from streams.transport.admin import Admin
from streams.transport.broker_retry import until_answered

_TOPIC, _LITERAL, _WRITE, _DENY = 2, 3, 4, 2
"""Of Kafka's access lists: a resource's type, a pattern's, an operation and a permission."""

_EVERYBODY = "User:*", "*", _WRITE, _DENY


async def set_config(admin: Admin, topic: str, **configs: str) -> None:
    """Give *topic* these configs and no others; an underscore stands for a dot. Brokers that are away are passed by."""
    inside: Any = admin
    wanted = {name.replace("_", "."): value for name, value in configs.items()}
    resource = theirs.ConfigResource(theirs.ConfigResourceType.TOPIC, topic, wanted)
    async with asyncio.timeout(30):
        await until_answered(inside._client, lambda: inside._admin.alter_configs([resource]))


async def forbid_writing(admin: Admin, topic: str) -> None:
    """From now on nobody may write to *topic*. The broker must have an authorizer."""
    rule = protocol.CreateAclsRequest(_TOPIC, topic, _LITERAL, *_EVERYBODY)
    answer = await _client(admin).send(_client(admin).get_random_node(), rule)
    assert [code for code, _ in answer.creation_responses] == [0], answer


async def permit_writing(admin: Admin, topic: str) -> None:
    """Take ``forbid_writing`` back."""
    rule = protocol.DeleteAclsRequest(_TOPIC, topic, _LITERAL, *_EVERYBODY)
    answer = await _client(admin).send(_client(admin).get_random_node(), rule)
    assert [code for code, *_ in answer.filter_responses] == [0], answer


async def replicas_of(admin: Admin, topic: str) -> dict[int, tuple[int, list[int]]]:
    """The leader and the followers of each partition, by node id."""
    inside: Any = admin
    while True:  # each broker hears of a new topic in its own time
        (described,) = await inside._described([topic])
        if described["partitions"]:
            break
        await asyncio.sleep(0.1)
    return {
        each["partition"]: (each["leader"], [node for node in each["replicas"] if node != each["leader"]])
        for each in described["partitions"]
    }


async def running_brokers(admin: Admin) -> int:
    """How many brokers are not fenced."""
    inside: Any = admin
    return len((await inside._asked(inside._admin.describe_cluster))["brokers"])


def _client(admin: Admin) -> Any:  # noqa: ANN401 - aiokafka's
    inside: Any = admin
    return inside._client
