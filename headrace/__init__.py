"""The public names that a user's agents and programs import."""

from consumers.agent.agents import Agent, agent
from consumers.agent.definition_error import AgentDefinitionError
from consumers.agent.models.port import (
    AssistantMessage,
    ModelResponse,
    SystemMessage,
    ToolCall,
    ToolMessage,
    ToolSpec,
    UserMessage,
)
from consumers.agent.run import Run
from schemas.errors import (
    BlockedError,
    ContextOverflowError,
    ExpiredError,
    ForbiddenError,
    HeadraceError,
    InternalError,
    MalformedError,
    ModelError,
    ModelOverloadedError,
    ModelQuotaError,
    ModelRejectedError,
    ModelTimeoutError,
    ModelUnavailableError,
    ModelUnreadableError,
)
from schemas.requests import Request
from schemas.results import Result

__all__ = [
    "Agent",
    "AgentDefinitionError",
    "AssistantMessage",
    "BlockedError",
    "ContextOverflowError",
    "ExpiredError",
    "ForbiddenError",
    "HeadraceError",
    "InternalError",
    "MalformedError",
    "ModelError",
    "ModelOverloadedError",
    "ModelQuotaError",
    "ModelRejectedError",
    "ModelResponse",
    "ModelTimeoutError",
    "ModelUnavailableError",
    "ModelUnreadableError",
    "Request",
    "Result",
    "Run",
    "SystemMessage",
    "ToolCall",
    "ToolMessage",
    "ToolSpec",
    "UserMessage",
    "agent",
]
