"""Words about requests and runs."""

from __future__ import annotations

from producers.controls import control_record, run_control_record
from schemas.control import Control, RunControl
from schemas.seals import Seals
from tests.unit.producers.samples import NOW, TRACE, texts

SEALS = Seals({"k1": b"0123456789abcdef"}, "cluster")


def test_a_clients_word_goes_to_its_tenants_topic_under_the_requests_id() -> None:
    """As any client could write it."""
    control = Control(request_id="r-1", kind="cancel")
    output = control_record("acme", control, control_id="c-1", now_ms=NOW, source="/shop", trace=TRACE)

    assert (output.topic, output.key) == ("tenants.acme.control", b"r-1")
    assert Control.model_validate_json(output.value or b"") == control
    assert texts(output)["ce_source"] == "/shop"
    assert texts(output)["ce_type"] == "headrace.control.v1"
    assert TRACE[0] in output.headers


def test_the_doors_word_is_sealed_for_every_worker() -> None:
    """A forged one would end anybody's run."""
    control = RunControl(tenant="acme", run_id="run-1", kind="cancel")
    output = run_control_record(control, SEALS, trace=TRACE, now_ms=NOW)

    SEALS.verify("platform.control", b"run-1", output.value, texts(output)["headrace-seal"])
    assert RunControl.model_validate_json(output.value or b"") == control
    assert texts(output)["correlation_id"] == "run-1"
