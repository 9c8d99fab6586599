"""What an operator may do to a topic while it is written to: give it another limit, or forbid it."""
# ruff: noqa: SLF001 - the product has no use for these, and its admin client is the way in

from __future__ import annotations

from typing import Any

import aiokafka.admin.config_resource as theirs
import aiokafka.protocol.admin as protocol

from streams.transport.admin import Admin

_TOPIC, _LITERAL, _WRITE, _DENY = 2, 3, 4, 2
"""Of Kafka's access lists: a resource's type, a pattern's, an operation and a permission."""

_EVERYBODY = "User:*", "*", _WRITE, _DENY


async def set_config(admin: Admin, topic: str, **configs: str) -> None:
    """Give *topic* these configs and no others; an underscore stands for a dot."""
    inside: Any = admin
    wanted = {name.replace("_", "."): value for name, value in configs.items()}
    await inside._admin.alter_configs([theirs.ConfigResource(theirs.ConfigResourceType.TOPIC, topic, wanted)])


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


def _client(admin: Admin) -> Any:  # noqa: ANN401 - aiokafka's
    inside: Any = admin
    return inside._client
