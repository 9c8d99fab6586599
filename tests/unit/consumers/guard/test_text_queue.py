"""Tenants share the work on texts, whatever one of them sends."""

from __future__ import annotations

from consumers.guard.text_queue import TextQueue


def drained(queue: TextQueue[str], tenants: dict[str, str]) -> list[str]:
    """Takes one text after another, each done before the next."""
    taken: list[str] = []
    while (text := queue.next()) is not None:
        taken.append(text)
        queue.done(tenants[text])
    return taken


def test_texts_of_one_tenant_keep_their_order() -> None:
    """Its first request is its first answer."""
    queue = TextQueue[str]()
    for name in "abc":
        queue.add("acme", name, 10)
    assert drained(queue, dict.fromkeys("abc", "acme")) == ["a", "b", "c"]


def test_a_second_tenant_does_not_wait_for_the_flood_of_the_first() -> None:
    """It is next, however many texts came before its own."""
    queue = TextQueue[str]()
    for number in range(60):
        queue.add("acme", f"a{number}", 1_000_000)
    tenants = {f"a{number}": "acme" for number in range(60)} | {"g": "globex"}
    assert queue.next() == "a0"
    queue.add("globex", "g", 40_000)
    queue.done("acme")
    assert drained(queue, tenants)[0] == "g"


def test_shares_are_of_characters_and_not_of_texts() -> None:
    """A tenant of short texts has many turns for one long text of another."""
    queue = TextQueue[str]()
    tenants: dict[str, str] = {}
    for number in range(20):
        queue.add("acme", f"a{number}", 1_000)
        queue.add("globex", f"g{number}", 100)
        tenants |= {f"a{number}": "acme", f"g{number}": "globex"}
    first = drained(queue, tenants)[:22]
    assert sum(text.startswith("g") for text in first) == 20


def test_one_text_of_a_tenant_is_worked_on_at_a_time() -> None:
    """The other process is free for another tenant."""
    queue = TextQueue[str]()
    queue.add("acme", "a", 1)
    queue.add("acme", "b", 1)
    assert queue.next() == "a"
    assert queue.next() is None
    queue.add("globex", "g", 1)
    assert queue.next() == "g"
    queue.done("acme")
    assert queue.next() == "b"


def test_an_idle_tenant_saves_no_share() -> None:
    """Nor does one that comes back pay for what it had before all others."""
    queue = TextQueue[str]()
    for number in range(5):
        queue.add("acme", f"a{number}", 1_000)
    tenants = {f"a{number}": "acme" for number in range(5)}
    assert len(drained(queue, tenants)) == 5
    queue.add("acme", "x", 1_000)
    queue.add("globex", "g", 1_000)
    queue.add("globex", "h", 1_000)
    queue.add("acme", "y", 1_000)
    order = drained(queue, dict.fromkeys("xy", "acme") | dict.fromkeys("gh", "globex"))
    assert sorted(order[:2]) == ["g", "x"]


def test_a_removed_text_is_not_taken() -> None:
    """Its request has ended."""
    queue = TextQueue[str]()
    queue.add("acme", "a", 1)
    queue.add("acme", "b", 1)
    queue.remove("acme", "a")
    queue.remove("nobody", "a")
    assert queue.next() == "b"
    queue.remove("acme", "b")
    queue.done("acme")
    assert queue.next() is None
