"""Parse and check the addresses in settings: brokers, hosts and URLs. A ValueError says what to write instead."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

KAFKA_PORT = 9_092
"""Port of a broker that is named without one."""

HIGHEST_PORT = 65_535
MASK = "********"
"""Text shown instead of a secret."""

BROKERS_FORM = "HOST:PORT, comma-separated"
_NAME = re.compile(
    r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*\.?"
)
_LONGEST_NAME = 253
_USER, _URL_USER, _QUERY = re.compile(r"\S+@"), re.compile(r"://.*@", re.DOTALL), re.compile(r"\?\S*")


class BrokerAddress(NamedTuple):
    """The host and port of one broker. An IPv6 address has no brackets."""

    host: str
    port: int


def brokers_of(text: str) -> list[BrokerAddress]:
    """Return the brokers that *text* lists. Raises ValueError if one is not HOST:PORT."""
    return [_broker(part.strip()) for part in text.split(",")]


def checked_brokers(text: str) -> str:
    """Return *text* without spaces. Raises ValueError as ``brokers_of``."""
    brokers_of(text)
    return ",".join(part.strip() for part in text.split(","))


def checked_host(text: str) -> str:
    """Return *text* without brackets. Raises ValueError unless it is an IP address or a host name."""
    host = text.removeprefix("[").removesuffix("]") if text.endswith("]") else text
    if not _is_host(host):
        raise ValueError(
            f"`{masked_url(text)}` is no host: write an IP address or a host name, without scheme and port"
        )
    return host


def checked_url(text: str, *schemes: str) -> str:
    """Return *text* without surrounding spaces. Raises ValueError unless it is a URL with a host and a known scheme."""
    url = text.strip()
    try:
        parts = urlsplit(url)
        place = parts.path if parts.scheme == "unix" else _is_host(parts.hostname or "") and parts.port != 0
        complete = parts.scheme in schemes and place
    except ValueError:
        complete = False
    if not complete or not url.isascii() or " " in url:
        raise ValueError(
            f"that is no URL with a host: write {' or '.join(f'{scheme}://' for scheme in schemes)}HOST:PORT"
        )
    return url


def masked_url(text: str) -> str:
    """Return *text* with the user, password and query of a URL replaced: each may be a secret."""
    if "://" in text:
        return _QUERY.sub(f"?{MASK}", _URL_USER.sub(f"://{MASK}@", text))
    return _USER.sub(f"{MASK}@", text)


def is_loopback(host: str) -> bool:
    """Return True if *host* is ``localhost`` or an IP address of this machine. Other names may lead anywhere."""
    try:
        address = ip_address(host)
    except ValueError:
        return host.lower() == "localhost"
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def bracketed(host: str) -> str:
    """Return *host* as it is written in a URL: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def _broker(text: str) -> BrokerAddress:
    host, port = _split(text)
    if not _is_host(host):
        raise ValueError(f"`{masked_url(host or text)}` is no host: write {BROKERS_FORM}")
    if not (
        port.isascii() and port.isdigit() and len(port) <= len(str(HIGHEST_PORT)) and 0 < int(port) <= HIGHEST_PORT
    ):
        raise ValueError(f"`{port}` is no port from 1 to {HIGHEST_PORT}: write {BROKERS_FORM}")
    return BrokerAddress(host, int(port))


def _split(text: str) -> tuple[str, str]:
    """Return host and port as written; the port is Kafka's own if there is none."""
    if "://" in text:
        raise ValueError(f"`{masked_url(text)}` is a URL: write {BROKERS_FORM}, without a scheme")
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")) or not _is_ip(host):
            raise ValueError(f"`{masked_url(text)}` is no IPv6 address in brackets: write [::1]:{KAFKA_PORT}")
        return host, rest[1:] if rest else str(KAFKA_PORT)
    if text.count(":") > 1:
        raise ValueError(
            f"`{masked_url(text)}` has several colons: write an IPv6 address in brackets, [::1]:{KAFKA_PORT}"
        )
    host, colon, port = text.partition(":")
    return host, port if colon else str(KAFKA_PORT)


def _is_host(text: str) -> bool:
    return _is_ip(text) or (len(text) <= _LONGEST_NAME and _NAME.fullmatch(text) is not None)


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
