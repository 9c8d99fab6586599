"""The wire as documents: a JSON Schema of each payload, and one AsyncAPI document of all topics. Values only."""

from streams.contracts.document import asyncapi, render
from streams.contracts.payloads import schemas

__all__ = ["asyncapi", "render", "schemas"]
