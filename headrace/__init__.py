"""The public names that a user's agents and programs import."""

from consumers.agent.agents import Agent, agent
from consumers.agent.definition_error import AgentDefinitionError
from consumers.agent.handoff import Handoff
from consumers.agent.middleware import Middleware, Next, Operation
from consumers.agent.models.port import (
    AssistantMessage,
    Model,
    ModelRequest,
    ModelResponse,
    ModelUsage,
    SystemMessage,
    ToolCall,
    ToolMessage,
    ToolSpec,
    UserMessage,
)
from consumers.agent.planners.port import Action, CallModel, CallTools, Finish, PlanState
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
    "Action",
    "Agent",
    "AgentDefinitionError",
    "AssistantMessage",
    "BlockedError",
    "CallModel",
    "CallTools",
    "ContextOverflowError",
    "ExpiredError",
    "Finish",
    "ForbiddenError",
    "Handoff",
    "HeadraceError",
    "InternalError",
    "MalformedError",
    "Middleware",
    "Model",
    "ModelError",
    "ModelOverloadedError",
    "ModelQuotaError",
    "ModelRejectedError",
    "ModelRequest",
    "ModelResponse",
    "ModelTimeoutError",
    "ModelUnavailableError",
    "ModelUnreadableError",
    "ModelUsage",
    "Next",
    "Operation",
    "PlanState",
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
