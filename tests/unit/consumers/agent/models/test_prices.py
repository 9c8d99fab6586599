"""The price of a call."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from decimal import Decimal
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Any

import pytest
from pydantic import ValidationError

from consumers.agent.models.port import (
    Delta,
    ModelRequest,
    ModelResponse,
    ModelUsage,
    StreamingModel,
    UserMessage,
)
from consumers.agent.models.prices import SHIPPED, ModelPrice, PricedModel, Prices, PriceTable, priced, read_prices
from schemas.errors import ModelUnreadableError

SMALL = ModelPrice(name="small", input=Decimal("0.15"), cached_input=Decimal("0.075"), output=Decimal("0.6"))
TABLE = PriceTable(
    models=(
        SMALL,
        ModelPrice(name="small-2024-05-13", input=Decimal(1), output=Decimal(1)),
        ModelPrice(name="llama-*", input=Decimal(2), output=Decimal(2)),
        ModelPrice(name="llama-large*", input=Decimal(3), output=Decimal(3)),
    )
)
ASK = ModelRequest((UserMessage("hello"),))


@pytest.mark.parametrize(
    ("model", "entry"),
    [
        ("small", "small"),
        ("small-2024-07-18", "small"),
        ("small-20250929", "small"),
        ("small@001", "small"),
        ("small-latest", "small"),
        ("small-2024-05-13", "small-2024-05-13"),
        ("small-5", None),
        ("small-audio", None),
        ("small-2024-07-18-ft", None),
        ("Small", None),
        ("smaller", None),
        ("llama-3-8b", "llama-*"),
        ("llama-large-8b", "llama-large*"),
        ("", None),
    ],
)
def test_the_longest_entry_that_covers_a_model_has_its_price(model: str, entry: str | None) -> None:
    """A dated version costs as its model; another model of a similar name does not."""
    found = TABLE.find(model)

    assert (found.name if found else None) == entry


def test_a_price_is_exact_to_the_picodollar() -> None:
    """A token of 0.075 dollars a million is 75,000 picodollars."""
    assert SMALL.pico(ModelUsage(1, 0)) == 150_000
    assert SMALL.pico(ModelUsage(1_000, 10, 400)) == 600 * 150_000 + 400 * 75_000 + 10 * 600_000


def test_more_cached_tokens_than_tokens_make_no_negative_price() -> None:
    """A provider may state nonsense."""
    assert SMALL.pico(ModelUsage(10, 0, 1_000)) == 10 * 75_000


def test_cached_tokens_without_a_price_of_their_own_cost_as_others() -> None:
    """No discount that nobody has stated."""
    assert TABLE.models[1].pico(ModelUsage(10, 0, 10)) == 10_000_000


def test_own_prices_replace_the_shipped_ones_of_the_same_name() -> None:
    """The others stay."""
    own = PriceTable(models=(ModelPrice(name="small", input=Decimal(9), output=Decimal(9)),))

    found = own.over(TABLE)

    assert found.find("small-2024-07-18") == own.models[0]
    assert found.find("llama-1") == TABLE.find("llama-1")


def test_the_shipped_table_states_its_day_and_sources() -> None:
    """And the default model has a price."""
    table = read_prices(SHIPPED)

    assert table.as_of is not None
    assert table.sources
    assert table.find("gpt-4o-mini") is not None
    assert len({each.name for each in table.models}) == len(table.models)


@pytest.mark.parametrize(
    "text",
    [
        'models = [{ name = "m", input = -1, output = 1 }]',
        'models = [{ name = "m", input = 0.0000001, output = 1 }]',
        'models = [{ name = "m", input = nan, output = 1 }]',
        'models = [{ name = "m", input = 1, ouput = 1 }]',
        'models = [{ name = "", input = 1, output = 1 }]',
        'models = "m"',
        "models = [",
    ],
)
def test_a_table_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    """A misspelt price would be none."""
    path = tmp_path / "prices.toml"
    path.write_text(text)

    with pytest.raises((ValidationError, TOMLDecodeError)):
        read_prices(path)


def test_numbers_are_read_as_they_are_written(tmp_path: Path) -> None:
    """Not as the nearest binary fraction."""
    path = tmp_path / "prices.toml"
    path.write_text('models = [{ name = "m", input = 0.1, output = 0.000001 }]')

    assert read_prices(path).models[0].pico(ModelUsage(3, 1)) == 300_000 + 1


class _Answers:
    def __init__(self, answer: ModelResponse | ModelUnreadableError) -> None:
        self.answer = answer

    async def complete(self, request: ModelRequest) -> ModelResponse:
        if isinstance(self.answer, ModelUnreadableError):
            raise self.answer
        return self.answer


@pytest.mark.anyio
@pytest.mark.parametrize(("said", "counted"), [("small-2024-07-18", "small-2024-07-18"), ("", "small")])
async def test_an_answer_states_its_price(said: str, counted: str) -> None:
    """By the name that it states, else by the one that was asked for."""
    model = PricedModel(_Answers(ModelResponse("hi", usage=ModelUsage(2, 1), model=said)), "small", Prices(TABLE))

    response = await model.complete(ASK)

    assert (response.model, response.usage.cost_pico) == (counted, 2 * 150_000 + 600_000)


@pytest.mark.anyio
async def test_an_unreadable_answer_states_its_price_too() -> None:
    """It was paid for."""
    answer = ModelUnreadableError("no", input_tokens=2, output_tokens=1)

    with pytest.raises(ModelUnreadableError) as raised:
        await PricedModel(_Answers(answer), "small", Prices(TABLE)).complete(ASK)

    assert (raised.value.model, raised.value.cost_pico) == ("small", 900_000)


@pytest.mark.anyio
async def test_a_model_without_a_price_costs_nothing_and_is_told() -> None:
    """Each call, so that it can be counted."""
    told: list[str] = []
    answer = ModelResponse("hi", usage=ModelUsage(2, 1), model="unheard-of")
    model = PricedModel(_Answers(answer), "small", Prices(TABLE, told.append))

    costs = [(await model.complete(ASK)).usage.cost_pico for _ in range(2)]

    assert (costs, told) == ([0, 0], ["unheard-of"] * 2)


def test_a_price_has_at_most_six_decimals() -> None:
    """A token would cost a fraction of a picodollar."""
    with pytest.raises(ValidationError):
        ModelPrice(name="m", input=Decimal("0.0000001"), output=Decimal(1))


class _Streams(_Answers):
    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta]:
        yield Delta("h")
        yield Delta("i", await self.complete(request))


@pytest.mark.anyio
async def test_a_model_that_streams_still_does_and_states_its_price() -> None:
    """In the whole answer at the end."""
    model = priced(_Streams(ModelResponse("hi", usage=ModelUsage(2, 1))), "small", Prices(TABLE))
    assert isinstance(model, StreamingModel)

    first, last = [delta async for delta in model.stream(ASK)]

    assert (first.text, last.text) == ("h", "i")
    assert last.response is not None
    assert (last.response.model, last.response.usage.cost_pico) == ("small", 900_000)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("stated", "counted"), [(-5, 0), (10**18, 10**9), (float("nan"), 0), (float("inf"), 10**9), (1.5, 2), (None, 0)]
)
async def test_odd_token_counts_of_a_plugin_are_clamped(stated: Any, counted: int) -> None:  # noqa: ANN401 - any value
    """A count that Valkey cannot add would stop the settlement of all later calls."""
    model = priced(_Answers(ModelResponse("hi", usage=ModelUsage(stated, 1, stated))), "small", Prices(TABLE))

    usage = (await model.complete(ASK)).usage

    assert (usage.input_tokens, usage.output_tokens, usage.cached_input_tokens) == (counted, 1, counted)
    assert usage.cost_pico == SMALL.pico(ModelUsage(counted, 1, counted))


@pytest.mark.anyio
async def test_odd_token_counts_of_an_unreadable_answer_are_clamped() -> None:
    """They are paid for as well."""
    with pytest.raises(ModelUnreadableError) as raised:
        await priced(_Answers(ModelUnreadableError(input_tokens=-5, output_tokens=2)), "small", Prices(TABLE)).complete(
            ASK
        )
    assert (raised.value.input_tokens, raised.value.output_tokens) == (0, 2)
    assert raised.value.cost_pico == SMALL.pico(ModelUsage(0, 2))


def test_a_model_that_does_not_stream_does_not_seem_to() -> None:
    """The caller asks for the whole answer then."""
    assert not isinstance(priced(_Answers(ModelResponse("hi")), "small", Prices(TABLE)), StreamingModel)
