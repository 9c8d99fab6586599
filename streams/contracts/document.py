"""One AsyncAPI document of the whole wire, and all contracts as the bytes that are committed."""

from __future__ import annotations

import json

from schemas.cloudevents import JSON
from streams.contracts.channels import channels, parameters
from streams.contracts.messages import messages
from streams.contracts.operations import operations
from streams.contracts.payloads import Json, components, schemas

ASYNCAPI = "3.0.0"
WIRE_VERSION = "1.0.0"
"""Of the wire, not of the software: the major number is that of the payloads."""

DOCUMENT = "asyncapi.json"
_ABOUT = (
    "Production AI agents on Kafka. A client writes a CloudEvent to its tenant's `requests` and reads exactly one "
    "terminal result from its `results`, with `isolation.level=read_committed`: other readers may see results of "
    "aborted transactions. Operations are named after the stage that performs them and tagged with its journeys."
)


def asyncapi() -> Json:
    """The document: servers, channels, operations, and the components they refer to."""
    return {
        "asyncapi": ASYNCAPI,
        "id": "urn:headrace:wire",
        "info": {
            "title": "Headrace",
            "version": WIRE_VERSION,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": JSON,
        "servers": _servers(),
        "channels": channels(),
        "operations": operations(),
        "components": {
            "schemas": components(),
            "messages": messages(),
            "parameters": parameters(),
            "securitySchemes": {"scram": {"type": "scramSha512", "description": "One user for each tenant."}},
        },
    }


def _servers() -> Json:
    return {
        "development": _server("kafka", "127.0.0.1:9092", "The embedded broker, or one in a container."),
        "production": _server("kafka-secure", "127.0.0.1:9093", "A cluster with an access list for each tenant.")
        | {"security": [{"$ref": "#/components/securitySchemes/scram"}]},
    }


def _server(protocol: str, bootstrap: str, description: str) -> Json:
    variable = {"default": bootstrap, "description": "`host:port` of any broker."}
    return {
        "host": "{bootstrap}",
        "protocol": protocol,
        "description": description,
        "variables": {"bootstrap": variable},
    }


def render() -> dict[str, bytes]:
    """Every committed contract: its path below the reference folder, and its content."""
    files = {f"schemas/{name}.json": schema for name, schema in schemas().items()} | {DOCUMENT: asyncapi()}
    return {
        path: f"{json.dumps(document, indent=2, ensure_ascii=False)}\n".encode() for path, document in files.items()
    }
