"""The names that a guard of your own imports."""

from consumers.context import StepContext
from consumers.guard.content import Content
from consumers.guard.detection import Detected, Detection, detected, redacted
from consumers.guard.finding import Finding, findings
from consumers.guard.guard_plugin import GuardPlugin
from consumers.guard.guards import Guard, GuardResult, Policy
from consumers.guard.text_tasks import TextWork
from schemas.errors import GuardUnavailableError
from schemas.guards import GuardStage
from schemas.models import Payload

__all__ = [
    "Content",
    "Detected",
    "Detection",
    "Finding",
    "Guard",
    "GuardPlugin",
    "GuardResult",
    "GuardStage",
    "GuardUnavailableError",
    "Payload",
    "Policy",
    "StepContext",
    "TextWork",
    "detected",
    "findings",
    "redacted",
]
