"""Prices of model calls: a table as data, and the model that states the price of each of its calls.

An entry covers the model of its name and that model's dated versions: the name, then ``-``, ``@`` or ``:``, then
``latest``, a date or 3 to 8 digits. An entry that ends in ``*`` covers every name that begins so. The longest entry
wins.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from consumers.agent.models.countable import countable_usage
from consumers.agent.models.port import Delta, Model, ModelRequest, ModelResponse, ModelUsage, StreamingModel, usage_of
from schemas.errors import ModelUnreadableError
from schemas.models import Payload

SHIPPED = Path(__file__).with_name("prices.toml")
NAMES_LIMIT = 1_000
"""Names whose entry is remembered. A provider may state a new name in each answer."""

_VERSION = re.compile(r"[-@:](latest|[0-9]{3,8}|[0-9]{4}-[0-9]{2}-[0-9]{2})")
_PICO_A_TOKEN = 1_000_000  # a dollar for a million tokens, in picodollars for one token

Usd = Annotated[Decimal, Field(ge=0, le=1_000_000, decimal_places=6)]
"""US dollars for a million tokens. Six decimals make a token's price a whole number of picodollars."""


class ModelPrice(Payload):
    """The prices of one model, in US dollars for a million tokens."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    """The provider's name, or its beginning and ``*``."""

    input: Usd
    output: Usd
    cached_input: Usd | None = None
    """For input tokens that the provider read from its cache. None: as other input tokens."""

    def covers(self, model: str) -> bool:
        """Return True if this entry has the price of *model*."""
        if self.name.endswith("*"):
            return model.startswith(self.name[:-1])
        return model == self.name or (
            model.startswith(self.name) and _VERSION.fullmatch(model, len(self.name)) is not None
        )

    def pico(self, usage: ModelUsage) -> int:
        """Return the price of a call in picodollars."""
        cached = min(usage.cached_input_tokens, usage.input_tokens)
        cheap = self.input if self.cached_input is None else self.cached_input
        usd = (usage.input_tokens - cached) * self.input + cached * cheap + usage.output_tokens * self.output
        return int(usd * _PICO_A_TOKEN)


class PriceTable(Payload):
    """Prices of one provider or several."""

    as_of: date | None = None
    """The day on which the prices were read."""

    sources: tuple[str, ...] = ()
    """The pages that state them."""

    models: tuple[ModelPrice, ...] = ()

    def over(self, other: PriceTable) -> PriceTable:
        """Return a table of both. An entry of this one replaces that of the same name in *other*."""
        own = {each.name for each in self.models}
        return self.model_copy(
            update={"models": (*self.models, *(each for each in other.models if each.name not in own))}
        )

    def find(self, model: str) -> ModelPrice | None:
        """Return the longest entry that covers *model*, or None."""
        return max((each for each in self.models if each.covers(model)), key=lambda each: len(each.name), default=None)


def read_prices(path: Path) -> PriceTable:
    """Return the table in a TOML file. Raise ValueError or OSError if it is none."""
    return PriceTable.model_validate(tomllib.loads(path.read_text("utf-8"), parse_float=Decimal))


@dataclass(frozen=True, slots=True)
class Prices:
    """Finds the price of a call, and tells of each model that has none once."""

    table: PriceTable
    unpriced: Callable[[str], None] = lambda _: None
    """Called for each call without a price, with the name of the model."""

    _known: dict[str, ModelPrice | None] = field(default_factory=dict[str, "ModelPrice | None"])

    def pico(self, model: str, usage: ModelUsage) -> int:
        """Return the price of a call in picodollars, 0 if the model has none."""
        price = self.price_of(model)
        if price is None:
            self.unpriced(model)
            return 0
        return price.pico(usage)

    def price_of(self, model: str) -> ModelPrice | None:
        """Return the prices of *model*, None if it has none."""
        if model not in self._known and len(self._known) < NAMES_LIMIT:
            self._known[model] = self.table.find(model)
        return self._known[model] if model in self._known else self.table.find(model)


@dataclass(frozen=True, slots=True)
class PricedModel:
    """A model whose answers, readable or not, state their price."""

    model: Model
    name: str
    """The model that is asked for. It counts if an answer does not state which one answered."""

    prices: Prices

    async def complete(self, request: ModelRequest) -> ModelResponse:
        """Ask once. Raises a ModelError."""
        try:
            return self._priced(await self.model.complete(request))
        except ModelUnreadableError as error:
            self._price(error)
            raise

    def _priced(self, response: ModelResponse) -> ModelResponse:
        model = response.model or self.name
        usage = countable_usage(response.usage)
        return replace(response, usage=replace(usage, cost_pico=self.prices.pico(model, usage)), model=model)

    def _price(self, error: ModelUnreadableError) -> None:
        error.model = error.model or self.name
        usage = countable_usage(usage_of(error))
        error.input_tokens, error.output_tokens = usage.input_tokens, usage.output_tokens
        error.cached_input_tokens = usage.cached_input_tokens
        error.cost_pico = self.prices.pico(error.model, usage)


@dataclass(frozen=True, slots=True)
class PricedStreamingModel(PricedModel):
    """The same for a model that also streams."""

    model: StreamingModel

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta]:
        """Ask once, and yield the pieces of the answer. Raises a ModelError."""
        try:
            async with aclosing(self.model.stream(request)) as deltas:
                async for delta in deltas:
                    yield delta if delta.response is None else replace(delta, response=self._priced(delta.response))
        except ModelUnreadableError as error:
            self._price(error)
            raise


def priced(model: Model | StreamingModel, name: str, prices: Prices) -> PricedModel:
    """Return the model with prices. It streams if the model does."""
    if isinstance(model, StreamingModel):
        return PricedStreamingModel(model, name, prices)
    return PricedModel(model, name, prices)
