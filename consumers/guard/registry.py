"""Guard pipelines by name."""

from __future__ import annotations

from consumers.guard.guards import GuardSpec, Policy
from consumers.guard.normal_form import normalise
from consumers.guard.normalise import Normalise
from consumers.guard.pipeline import Pipeline
from consumers.guard.text_tasks import TextWork
from consumers.guard.text_threads import text_thread

NORMALISE_TIMEOUT_S = 30.0
"""Time limit of the normaliser. A megabyte takes half a second of CPU time, which a busy machine gives slowly."""


def default_pipeline(work: TextWork = text_thread) -> Pipeline:
    """Return the pipeline used by default: the normaliser, before the model. *work* runs its long texts."""
    normalise("\u200b")  # its tables take some milliseconds, once
    policy = Policy(timeout=NORMALISE_TIMEOUT_S)
    return Pipeline(input=[GuardSpec("normalise", Normalise(work), rewrites=True, policy=policy)], work=work)
