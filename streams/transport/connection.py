"""How a Kafka cluster is reached: one value, from which every client is made."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from streams.transport.errors import AccessDeniedError, KafkaUnreachableError, TransportError, own
from streams.transport.library import KafkaError, errors

Protocol: TypeAlias = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]

_RETRY_S = 0.3


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the brokers are and how to speak to them. ``ca_file`` is a PEM file; without one the system's CAs count."""

    bootstrap: str
    """``host:port``, several separated by commas."""

    security_protocol: Protocol = "PLAINTEXT"
    sasl_mechanism: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None

    def options(self) -> dict[str, Any]:
        """The keyword arguments that every client takes."""
        options: dict[str, Any] = {"bootstrap_servers": self.bootstrap, "security_protocol": self.security_protocol}
        if self.security_protocol.endswith("SSL"):
            options["ssl_context"] = ssl.create_default_context(cafile=self.ca_file)
        if self.security_protocol.startswith("SASL"):
            options |= {
                "sasl_mechanism": self.sasl_mechanism or "PLAIN",
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password,
            }
        return options

    async def establish(self, start: Callable[[], Awaitable[object]], deadline_s: float) -> None:
        """Call *start* until it succeeds: brokers may come up later than we do.

        Raises KafkaUnreachableError when *deadline_s* has passed, AccessDeniedError at once.
        """
        reason: object = ""
        try:
            async with asyncio.timeout(deadline_s):
                while (reason := await _attempt(start)) is not None:  # noqa: ASYNC110 - nobody tells us
                    await asyncio.sleep(_RETRY_S)
        except TimeoutError:
            raise KafkaUnreachableError(self.bootstrap, _said(reason, deadline_s)) from None


def _said(reason: object, deadline_s: float) -> object:
    """What the last attempt said, unless that is only that nobody answered."""
    silent = reason == "" or isinstance(reason, errors.KafkaConnectionError)
    return f"no answer within {deadline_s:g} s" if silent else reason


async def _attempt(start: Callable[[], Awaitable[object]]) -> object:
    try:
        await start()
    except (KafkaError, OSError, TransportError) as error:
        translated = own(error)
        if isinstance(translated, AccessDeniedError):
            raise translated from error
        return error
    return None
