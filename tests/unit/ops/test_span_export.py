"""Spans leave in the order they came; nobody waits for it, and what no collector takes is counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ops.span_export import PIECE, SpanExport


def until(fact: Callable[[], bool]) -> None:
    """Wait for a thread."""
    end = time.monotonic() + 10
    while not fact():
        assert time.monotonic() < end
        time.sleep(0.001)


class Collector:
    """Keeps what it is sent, once it may."""

    def __init__(self, *, takes: bool = True) -> None:
        self.takes = takes
        self.posts: list[list[bytes]] = []
        self.may = threading.Event()
        self.may.set()

    def post(self, spans: list[bytes]) -> bool:
        self.posts.append(spans)
        self.may.wait(10)
        return self.takes

    @property
    def spans(self) -> list[bytes]:
        return [span for post in self.posts for span in post]


def test_what_came_within_a_second_leaves_together_and_in_order() -> None:
    """A post for each span would cost more than the spans."""
    collector = Collector()
    delivery = SpanExport(collector.post, every_s=0.2)

    for number in range(100):
        delivery.take(b"%d" % number)
    until(lambda: delivery.delivered == 100)

    assert len(collector.posts) <= 2
    assert collector.spans == [b"%d" % number for number in range(100)]
    delivery.close()


def test_much_leaves_at_once_and_in_pieces() -> None:
    """Collectors refuse what is too large."""
    collector = Collector()
    delivery = SpanExport(collector.post, every_s=60)

    for _ in range(40):
        delivery.take(b"x" * (PIECE // 10))
    until(lambda: delivery.delivered >= 20)
    delivery.close()

    assert delivery.delivered == 40
    assert max(sum(map(len, post)) for post in collector.posts) <= PIECE + PIECE // 10


def test_what_is_left_at_the_end_is_delivered() -> None:
    """Of a worker that has drained, the last spans are those somebody will look for."""
    collector = Collector()
    delivery = SpanExport(collector.post, every_s=60)
    delivery.take(b"last")

    delivery.close()

    assert collector.spans == [b"last"]
    assert (delivery.delivered, delivery.lost) == (1, 0)


def test_what_came_while_the_last_post_failed_is_tried_once_more() -> None:
    """The end may come in the middle of a post."""
    collector = Collector(takes=False)
    collector.may.clear()
    delivery = SpanExport(collector.post, every_s=0.001)
    delivery.take(b"first")
    until(lambda: bool(collector.posts))
    delivery.take(b"last")
    delivery.close(patience_s=0)

    collector.may.set()
    until(lambda: delivery.lost == 2)

    assert collector.spans == [b"first", b"last"]


def test_a_collector_that_is_away_costs_the_spans_and_nothing_else() -> None:
    """One attempt for what is waiting; it may be back the next time."""
    collector = Collector(takes=False)
    delivery = SpanExport(collector.post, every_s=0.01)
    delivery.take(b"lost")
    until(lambda: delivery.lost == 1)

    collector.takes = True
    delivery.take(b"kept")
    until(lambda: delivery.delivered == 1)

    assert collector.spans[-1] == b"kept"
    delivery.close()


def test_a_collector_that_hangs_holds_nobody_and_fills_no_memory() -> None:
    """Taking returns at once, up to the bound; beyond it spans are lost, and counted."""
    collector = Collector()
    collector.may.clear()
    delivery = SpanExport(collector.post, every_s=0.001, held=1_000)
    delivery.take(b"x")
    until(lambda: bool(collector.posts))

    for _ in range(100):
        delivery.take(b"x" * 100)
    assert delivery.lost == 90

    began = time.monotonic()
    delivery.close(patience_s=0.05)
    assert time.monotonic() - began < 5

    collector.may.set()
    until(lambda: delivery.delivered == 11)
