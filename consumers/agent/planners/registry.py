"""Headrace's own planners by name."""

from __future__ import annotations

from collections.abc import Mapping

from consumers.agent.planners.plan_execute import plan_execute
from consumers.agent.planners.port import Planner
from consumers.agent.planners.react import react

PLANNERS: Mapping[str, Planner] = {"react": react, "plan_execute": plan_execute}
