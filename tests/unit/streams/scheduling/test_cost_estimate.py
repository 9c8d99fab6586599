"""What a run is expected to cost."""

from __future__ import annotations

from streams.scheduling.scheduler import UNKNOWN_COST_S, CostEstimate


def test_a_tenant_is_expected_to_do_as_it_did() -> None:
    """And the average follows when its runs change."""
    costs = CostEstimate()
    assert costs.expected("acme") == UNKNOWN_COST_S
    costs.note("acme", 10.0)
    assert costs.expected("acme") == 10.0
    for _ in range(30):
        costs.note("acme", 0.1)

    assert 0.1 <= costs.expected("acme") < 0.2


def test_who_has_no_history_is_expected_to_be_like_everybody() -> None:
    """A new tenant has neither an advantage nor the contrary."""
    costs = CostEstimate()
    for _ in range(50):
        costs.note("acme", 4.0)

    assert 3.9 < costs.expected("new") < 4.0
