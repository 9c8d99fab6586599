"""Guard pipelines by name."""

from __future__ import annotations

from consumers.guard.guards import GuardSpec, Policy
from consumers.guard.normalise import Normalise
from consumers.guard.pipeline import Pipeline


def default_pipeline() -> Pipeline:
    """Return the pipeline used by default: the normaliser, before the model."""
    return Pipeline(input=[GuardSpec("normalise", Normalise(), rewrites=True, policy=Policy(timeout=10))])
