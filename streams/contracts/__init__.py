"""The public contracts: a JSON Schema for each payload, and one AsyncAPI document for all topics. Values only."""

from streams.contracts.document import asyncapi, render
from streams.contracts.payloads import schemas

__all__ = ["asyncapi", "render", "schemas"]
