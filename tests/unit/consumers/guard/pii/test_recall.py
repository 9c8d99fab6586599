"""At least 98 of 100 values of each kind are found, in templates that no rule was written for."""

from __future__ import annotations

import pytest

from consumers.guard.pii.detector import PiiDetector
from tests.unit.consumers.guard.pii.values import GROUPED, PHONE_TEMPLATES, faker, missed

COUNT = 120

LATIN = ("en_US", "de_DE", "fr_FR", "it_IT", "pl_PL", "pt_BR", "tr_TR")
OTHER = ("ja_JP", "zh_CN", "ru_RU", "ko_KR", "he_IL", "ar_AA")
BANKS = ("de_DE", "fr_FR", "en_GB", "it_IT", "nl_NL", "no_NO", "pl_PL", "pt_PT", "ro_RO", "tr_TR", "uk_UA", "cs_CZ")
PHONES = ("en_US", "en_GB", "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL", "pl_PL", "sv_SE", "ja_JP", "en_IN", "pt_BR")


@pytest.mark.parametrize("locale", LATIN + OTHER)
def test_e_mail_addresses_are_found(locale: str) -> None:
    """Each locale makes local parts and companies from its own names."""
    source = faker(locale)
    values = [source.email() for _ in range(COUNT // 2)] + [source.company_email() for _ in range(COUNT // 2)]
    assert len(missed("email", values)) <= 0.02 * len(values)


def test_cards_of_all_issuers_are_found_in_all_groupings() -> None:
    """Faker makes cards of eight issuers with 12 to 19 digits."""
    source = faker("en_US")
    values = [GROUPED[number % 3](source.credit_card_number()) for number in range(900)]
    assert len(missed("payment_card", values)) <= 0.02 * len(values)


@pytest.mark.parametrize("locale", BANKS)
def test_ibans_are_found_spaced_unspaced_and_in_lower_case(locale: str) -> None:
    """People copy them from letters, forms and banking programs."""
    source = faker(locale)
    values = [GROUPED[number % 2](source.iban()) for number in range(COUNT)]
    values = [value.lower() if number % 3 == 0 else value for number, value in enumerate(values)]
    assert len(missed("iban", values)) <= 0.02 * len(values)


def test_social_security_numbers_are_found() -> None:
    """Dashes are enough."""
    source = faker("en_US")
    values = [source.ssn() for _ in range(300)]
    assert len(missed("us_ssn", values)) <= 0.02 * len(values)


def test_public_addresses_are_found() -> None:
    """Version 4 and version 6, the latter of any prefix."""
    source = faker("en_US")
    assert len(missed("ip_address", [source.ipv4_public() for _ in range(300)])) <= 6
    assert len(missed("ip_address", [source.ipv6() for _ in range(300)])) <= 6


@pytest.mark.parametrize("locale", PHONES)
def test_announced_phone_numbers_are_found(locale: str) -> None:
    """Faker's numbers are written as people do, and often in no assigned range."""
    source = faker(locale)
    values = [source.phone_number() for _ in range(COUNT)]
    assert len(missed("phone", values, PHONE_TEMPLATES)) <= 0.02 * len(values)


@pytest.mark.parametrize("locale", ["en_GB", "fr_FR", "de_CH", "ro_RO", "ko_KR", "es_ES", "cs_CZ"])
def test_phone_numbers_in_their_usual_form_need_no_announcement(locale: str) -> None:
    """A trunk prefix or a country code, and a number of an assigned range."""
    source = faker(locale)
    values = [source.phone_number() for _ in range(COUNT)]
    assert len(missed("phone", values)) <= 0.1 * len(values)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("email", "josé.garcía+news@correo.example.es"),
        ("email", "o'brien@example.ie"),
        ("email", "用户@例子.中国"),
        ("email", "jürgen@bücher.example"),
        ("email", "first!last@example.com"),
        ("email", "x@xn--bcher-kva.example"),
        ("email", "a" * 64 + "@" + "b" * 60 + "." + "c" * 60 + ".example"),
        ("payment_card", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"),
        ("payment_card", "3782 822463 10005"),
        ("payment_card", "٤١١١١١١١١١١١١١١١"),
        ("payment_card", "4111\u20111111\u20111111\u20111111"),
        ("iban", "MT84 MALT 0110 0001 2345 MTLC AST0 01S"),
        ("ip_address", "::ffff:93.184.216.34"),
        ("ip_address", "2a02:8070::1"),
        ("phone", "+49 (0) 30 123456-78"),
        ("phone", "001-284-978-3957x1054"),
        ("phone", "(555) 234-5678 ext. 12"),
        ("phone", "+20 ١٠٢٣٤٥٦٧٨٩"),
    ],
)
def test_unusual_spellings_are_found_as_a_whole(kind: str, text: str) -> None:
    """The first or the last characters of a value may not be left over."""
    (found,) = PiiDetector().detect(f"see {text} please")
    assert (found.kind, found.start, found.end) == (kind, 4, 4 + len(text))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("SSN 123 45 6789", "123 45 6789"),
        ("social security: 123456789", "123456789"),
        ("请联系a@b.example谢谢", "a@b.example"),
        ("<mailto:a@b.example>", "a@b.example"),
        ("email=a@b.example&x=1", "a@b.example"),
        ("a@b.example.", "a@b.example"),
        ("card 4111 1111 1111 1111 12/27", "4111 1111 1111 1111"),
        ("card 4111 1111 1111 1111 123", "4111 1111 1111 1111"),
        ("tel:+442079460958", "+442079460958"),
        ("http://93.184.216.34:8080/x", "93.184.216.34"),
        ("8.8.8.9/24", "8.8.8.9"),
        ("room 12, 020 7946 0958", "020 7946 0958"),
    ],
)
def test_a_value_ends_where_its_context_begins(text: str, value: str) -> None:
    """The model needs the words around it."""
    (found,) = PiiDetector().detect(text)
    assert text[found.start : found.end] == value


def test_equal_neighbours_are_found_one_by_one() -> None:
    """A list of numbers is not one long number."""
    text = "phones: 01 23 45 67 89 / 06 12 34 56 78, +1 415 555 2671 and 415-555-2672"
    assert [text[each.start : each.end] for each in PiiDetector().detect(text)] == [
        "01 23 45 67 89",
        "06 12 34 56 78",
        "+1 415 555 2671",
        "415-555-2672",
    ]
