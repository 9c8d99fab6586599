"""The AsyncAPI document of the whole wire format, and all contracts as committed files."""

from __future__ import annotations

import json

from schemas.cloudevents import JSON
from streams.contracts.channels import channels, parameters
from streams.contracts.messages import messages
from streams.contracts.operations import operations
from streams.contracts.payloads import Json, components, schemas

ASYNCAPI = "3.0.0"
WIRE_VERSION = "1.0.0"
"""The version of the wire format, not of the software. Its major number is that of the payloads."""

DOCUMENT = "asyncapi.json"
_ABOUT = (
    "Production AI agents on Kafka. A client writes a CloudEvent to its tenant's `requests` topic. It reads exactly "
    "one terminal result from the `results` topic. Set `isolation.level=read_committed`: other readers may see results "
    "of aborted transactions. An operation is named after its stage and tagged with the stage's journeys."
)


def asyncapi() -> Json:
    """Return the document: servers, channels, operations, and their shared components."""
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
            "securitySchemes": {"scram": {"type": "scramSha512", "description": "Each tenant has its own user."}},
        },
    }


def _servers() -> Json:
    return {
        "development": _server("kafka", "127.0.0.1:9092", "The embedded broker, or a broker in a container."),
        "production": _server("kafka-secure", "127.0.0.1:9093", "A cluster with an ACL for each tenant.")
        | {"security": [{"$ref": "#/components/securitySchemes/scram"}]},
    }


def _server(protocol: str, bootstrap: str, description: str) -> Json:
    variable = {"default": bootstrap, "description": "The `host:port` of any broker of the cluster."}
    return {
        "host": "{bootstrap}",
        "protocol": protocol,
        "description": description,
        "variables": {"bootstrap": variable},
    }


def render() -> dict[str, bytes]:
    """Return every committed contract: path below the reference folder, to content."""
    files = {f"schemas/{name}.json": schema for name, schema in schemas().items()} | {DOCUMENT: asyncapi()}
    return {
        path: f"{json.dumps(document, indent=2, ensure_ascii=False)}\n".encode() for path, document in files.items()
    }
