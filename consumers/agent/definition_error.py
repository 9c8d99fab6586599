"""The error of a definition that cannot work."""

from __future__ import annotations


class AgentDefinitionError(ValueError):
    """The definition of an agent or a tool is invalid. Raised to the developer at start; never sent to a client."""
