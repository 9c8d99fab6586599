"""Numbering plans: the national patterns of the phonenumbers library, compiled once for each country code.

The library parses and validates one number in about 0.1 ms. A text can hold 80,000 of them, so only its metadata is
used.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

import re2
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, SUPPORTED_REGIONS, PhoneMetadata

_TYPES: Final = (
    "fixed_line",
    "mobile",
    "toll_free",
    "premium_rate",
    "shared_cost",
    "personal_number",
    "voip",
    "pager",
    "uan",
    "voicemail",
)
_NON_GEOGRAPHIC: Final = "001"
_SHORTEST: Final = 5


def split_code(digits: str) -> tuple[int, str]:
    """Return the country code (ITU-T E.164) and the rest of an international number; 0 without a known code."""
    for size in (1, 2, 3):
        if (code := int(digits[:size] or 0)) in COUNTRY_CODE_TO_REGION_CODE:
            return code, digits[size:]
    return 0, digits


def is_possible(code: int, national: str) -> bool:
    """Return True if numbers of the country code can have this length."""
    return len(national) in _lengths(code)


def is_assigned(code: int, national: str) -> bool:
    """Return True if the number is in a range of the country code's plan that is in use."""
    return _pattern(code).fullmatch(national.encode()) is not None


def is_national(regions: tuple[str, ...], digits: str, *, prefixed: bool) -> bool:
    """Return True if the digits are a number of one of the regions, *prefixed* by its trunk prefix where it has one."""
    return _national(regions, prefixed).fullmatch(digits.encode()) is not None


def check_regions(regions: tuple[str, ...]) -> None:
    """Raise ValueError for a region that the library does not know."""
    if unknown := sorted(set(regions) - SUPPORTED_REGIONS):
        raise ValueError(f"unknown phone regions: {', '.join(unknown)}: use ISO 3166 codes such as GB")


def _metadata(code: int) -> Iterator[Any]:
    for region in COUNTRY_CODE_TO_REGION_CODE.get(code, ()):
        if region == _NON_GEOGRAPHIC:
            yield PhoneMetadata.metadata_for_nongeo_region(code)
        else:
            yield PhoneMetadata.metadata_for_region(region)


@lru_cache(maxsize=256)
def _lengths(code: int) -> frozenset[int]:
    lengths = {length for plan in _metadata(code) for length in plan.general_desc.possible_length}
    return frozenset(length for length in lengths if length >= _SHORTEST)


@lru_cache(maxsize=256)
def _pattern(code: int) -> Any:  # noqa: ANN401 - re2 has no types
    return _compiled(_assigned(plan) for plan in _metadata(code))


@lru_cache(maxsize=64)
def _national(regions: tuple[str, ...], prefixed: bool) -> Any:  # noqa: ANN401, FBT001 - as above, and a part of the cache's key
    plans = (PhoneMetadata.metadata_for_region(region) for region in regions)
    return _compiled(_prefix(plan, prefixed=prefixed) + _assigned(plan) for plan in plans)


def _prefix(plan: Any, *, prefixed: bool) -> str:  # noqa: ANN401 - a plan of which the library declares no types
    if not plan.national_prefix:
        return ""
    return plan.national_prefix if prefixed else f"(?:{plan.national_prefix})?"


def _assigned(plan: Any) -> str:  # noqa: ANN401 - as above
    patterns = (getattr(plan, each) for each in _TYPES)
    known = [each.national_number_pattern for each in patterns if each and each.national_number_pattern]
    return f"(?:{'|'.join(known)})"


def _compiled(patterns: Iterator[str]) -> Any:  # noqa: ANN401 - as above
    return re2.compile("|".join(f"(?:{each})" for each in patterns).encode())
