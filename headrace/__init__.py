"""The public names that a user's agents and programs import."""

from consumers.agent.agents import Agent, agent
from consumers.agent.definition_error import AgentDefinitionError
from consumers.agent.handoff import Handoff
from consumers.agent.middleware import Middleware, Next, Operation
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
from consumers.agent.run_limits import RunLimits
from consumers.agent.tools.tool import Tool, tool
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
    ToolDeniedError,
    ToolFailedError,
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
    "Handoff",
    "HeadraceError",
    "InternalError",
    "MalformedError",
    "Middleware",
    "ModelError",
    "ModelOverloadedError",
    "ModelQuotaError",
    "ModelRejectedError",
    "ModelResponse",
    "ModelTimeoutError",
    "ModelUnavailableError",
    "ModelUnreadableError",
    "Next",
    "Operation",
    "Request",
    "Result",
    "Run",
    "RunLimits",
    "SystemMessage",
    "Tool",
    "ToolCall",
    "ToolDeniedError",
    "ToolFailedError",
    "ToolMessage",
    "ToolSpec",
    "UserMessage",
    "agent",
    "tool",
]
