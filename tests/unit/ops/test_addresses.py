"""Addresses in settings."""

from __future__ import annotations

import pytest

from ops.addresses import brokers_of, checked_host, checked_url, is_loopback, masked_url
from ops.settings import Settings


@pytest.mark.parametrize(
    ("text", "brokers"),
    [
        ("localhost:9092", [("localhost", 9092)]),
        ("kafka-1:9093, kafka_2:9093", [("kafka-1", 9093), ("kafka_2", 9093)]),
        ("[::1]:19092,127.0.0.1", [("::1", 19092), ("127.0.0.1", 9092)]),
        ("broker.example.:1", [("broker.example.", 1)]),
    ],
)
def test_brokers_are_hosts_with_ports(text: str, brokers: list[tuple[str, int]]) -> None:
    """As Kafka's own clients write them."""
    assert brokers_of(text) == brokers


@pytest.mark.parametrize(
    "text",
    [
        *("localhost:abc", "localhost:", "localhost:0", "localhost:65536", "localhost:-1", f"localhost:{'9' * 5_000}"),
        *("[::1", "[::1]9092", "[host]:9092", "::1:9092", "a:b:c", "localhost:٣"),
        *("", " ", ",", "a:1,", ":9092", "a b:1", "bücher:9092", "-a:1", "a..b:1", f"{'a' * 300}:1", "a\x1b[31m:1"),
        *("kafka://host:9092", "PLAINTEXT://host:9092", "user:word@host:9092"),
    ],
)
def test_what_is_no_broker_is_refused_with_what_to_write(text: str) -> None:
    """The client's own errors name a class, and come later."""
    with pytest.raises(ValueError, match="write "):
        brokers_of(text)


@pytest.mark.parametrize(
    ("host", "answer"),
    [
        *(
            (host, True)
            for host in ("localhost", "LOCALHOST", "127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1")
        ),
        *((host, False) for host in ("127.evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "127.1")),
        *((host, False) for host in ("0.0.0.0", "::", "10.0.0.1", "evil.localhost.example", "128.0.0.1", "")),
    ],
)
def test_only_addresses_of_this_machine_are_loopback(host: str, answer: bool) -> None:  # noqa: FBT001
    """A name that begins with 127 may lead to any machine, and a registry there would get the seal's secret."""
    assert is_loopback(host) is answer


@pytest.mark.parametrize(
    ("bootstrap", "answer"),
    [
        *((text, True) for text in ("127.0.0.1:9092", "localhost:1,[::1]:2", "127.0.0.2")),
        *((text, False) for text in ("127.evil.example:9092", "127.0.0.1:9092,kafka-2:9092", "[::2]:9092")),
    ],
)
def test_a_cluster_is_on_loopback_only_if_every_broker_is(bootstrap: str, answer: bool) -> None:  # noqa: FBT001
    """One broker elsewhere is enough to need a secret of the operator's."""
    assert Settings(kafka_bootstrap=bootstrap).on_loopback is answer


@pytest.mark.parametrize("text", ["", "http://x", "127.0.0.1:80", "0.0.0.0/0", "a b", "é", "[::1", "x" * 64])
def test_what_is_no_host_is_refused(text: str) -> None:
    """A port or a scheme there is a common mistake."""
    with pytest.raises(ValueError, match="write an IP address or a host name"):
        checked_host(text)


def test_a_host_may_have_brackets() -> None:
    """As in a URL."""
    assert [checked_host(each) for each in ("[::1]", "::", "0.0.0.0", "node-1.local")] == [
        "::1",
        "::",
        "0.0.0.0",
        "node-1.local",
    ]


@pytest.mark.parametrize(
    "text", ["", "localhost:4318", "http://", "http:///v1", "ftp://h", "http://h:x", "http://[::1", "http://h h", "//h"]
)
def test_what_is_no_url_is_refused(text: str) -> None:
    """Before the first call fails."""
    with pytest.raises(ValueError, match="write http"):
        checked_url(text, "http", "https")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:word@h:1/0", "redis://********@h:1/0"),
        ("redis://user:wo/r@d@h", "redis://********@h"),
        ("https://h/v1?key=word", "https://h/v1?********"),
        ("user:word@h:9092", "********@h:9092"),
        ("http://h:1/v1", "http://h:1/v1"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    """A password may be in three places."""
    assert masked_url(url) == shown
