"""Technical texts are not flagged, and neither are numbers that fail their check."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable

import pytest

from consumers.guard.pii.detector import PiiDetector, PiiRules
from tests.unit.consumers.guard.pii.values import SEED

TEXTS = [
    "arn:aws:iam::012345678901:role/deploy",
    "Sum A1:B200 and C3:C4000 of Sheet2!$A$1:$C$9999",
    "ISBN 978-0-306-40615-7, ISBN-10 0-306-40615-2, ISBN: 0306406152",
    "order number 0712345678, order #4155552671, part no. 415-555-2671, SKU 020-7946-0958",
    "Bestellnummer 030 12345678",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "version 8.8.8.8, v1.2.3.4, Chrome/120.0.0.0, foo==1.2.3.4, upgrade to 9.9.9.9, section 4.3.2.1",
    "libssl1.1_1.1.1.1-1ubuntu2_amd64.deb foo-8.8.8.8.tar.gz 8.8.8.8-rc1",
    "2024-01-15 10:30:00,123 INFO pid=12345 id=1234567890 took 0.123456 s",
    "[10/Oct/2024:13:55:36 +0000] 15/01/2024 0800 01.02.2024 10:30",
    "epoch 1733020800 1733020800123 1733020800123456 1733020800123456789",
    "lat 52.520008, lon 13.404954; -23.0507 -113.7634",
    "EUR 1.234.567,89 and $1,234,567.89 and 12 345 678 people",
    "margin: 0 auto; transition: 0.25s 0.5s; color: #415555; rgba(255, 255, 255, 0.5)",
    "M10 315 L 110 215 A 30 50 0 0 1 162.55 162.45",
    "00:1A:2B:3C:4D:5E 1:2:3:4:5:6:7:8 ab:cd:ef:01:23:45:67:89 a::b std::vector ::1 fe80::1",
    "127.0.0.1 10.1.2.3 192.168.0.1 169.254.1.1 100.64.0.1 0.0.0.0 224.0.0.1 192.0.2.1 203.0.113.7 2001:db8::1",
    "8.8.8.0/24 2a02:8070::/32 2000::/3",
    "git@github.com:acme/app.git lodash@4.17.21 react@18.3.0-rc.beta icon@2x.png getty@tty1.service x@self.weight",
    "y = a@b.transpose(1, 2); z = w@v.mean()",
    "postgres://user:pw@db.example.com/x deploy@web01.example.com:/srv bot@project-1.iam.gserviceaccount.com",
    "00000010: 9467 3616 3559 9962 3973 6828 2747 2308",
    "12 34 56 78 90 12 34 56 78 90 and 123 456 789 012 345 678",
    "chr12:49417283-00839198, CAS 10043-52-4, 1Z999AA10123456784, VIN 1HGCM82633A004352",
    "vol. 12(3): 211-227 (2003), pages 1234567-1234589, range 05722-45611",
    "called 12345678 times, phone_id=1234567890, mobile sessions 5150957, text of 1234567 bytes",
    "4111 1111 1111 1112 and 4111111111111112 fail the check, and so does DE89 3704 0044 0532 0130 01",
    "000-12-3456 666-12-3456 900-12-3456 123-00-4567 123-45-0000 123456789",
    'arXiv 0221.49005, AssemblyVersion("3.2.91.10"), checksum 0423830874, 0221.490053',
    "0123456789 01234567890 0x0712345678",
]


@pytest.mark.parametrize("text", TEXTS)
def test_technical_texts_have_no_personal_data(text: str) -> None:
    """A false alarm changes a text that the model needs unchanged."""
    assert [(each.kind, text[each.start : each.end]) for each in PiiDetector().detect(text)] == []


def generators(chance: random.Random) -> list[Callable[[], str]]:
    """Return sources of technical identifiers."""

    def digits(count: int) -> str:
        return "".join(chance.choices("0123456789", k=count))

    def letters(count: int) -> str:
        return "".join(chance.choices("0123456789abcdef", k=count))

    return [
        lambda: f"arn:aws:sns:eu-west-1:{digits(12)}:alerts-{letters(6)}",
        lambda: str(uuid.UUID(int=chance.getrandbits(128))),
        lambda: f"commit {letters(40)} of build {digits(8)}",
        lambda: f"order {digits(10)}, invoice {digits(8)}-{digits(3)}",
        lambda: f"part {digits(3)}-{digits(2)}-{digits(4)}",
        lambda: f"ts={digits(13)} offset={digits(8)} lag={digits(5)}",
        lambda: f"{chance.uniform(-90, 90):.6f} {chance.uniform(-180, 180):.6f}",
        lambda: f"https://example.com/item/{digits(10)}?ref={digits(8)}",
        lambda: f"file_{digits(8)}_{digits(6)}.log IMG-2024{digits(4)}-WA{digits(4)}.jpg",
        lambda: f"{letters(8)}: {digits(4)} {digits(4)} {digits(4)} {digits(4)} {digits(4)} {digits(4)}",
        lambda: f"release {digits(1)}.{digits(2)}.{digits(1)}.{digits(2)} of {digits(6)}",
        lambda: f"x = {chance.random()!r} * {chance.random()!r}e-05",
        lambda: f"id {digits(11)}; key {digits(9)}; row {digits(7)}",
        lambda: f"AB{digits(2)} {letters(4)} {digits(4)} {digits(4)}",
    ]


def test_random_identifiers_are_flagged_in_at_most_one_of_two_hundred() -> None:
    """A check digit is right by chance once in ten times, so the surroundings have to decide too."""
    detect = PiiDetector().detect
    texts = [make() for make in generators(random.Random(SEED)) for _ in range(100)]
    flagged = [text for text in texts if detect(text)]
    assert len(flagged) <= 0.005 * len(texts), flagged


def test_a_kind_that_is_off_is_not_found() -> None:
    """A tenant that works with phone numbers keeps them."""
    detector = PiiDetector.of(PiiRules(kinds=("email",)))
    assert [each.kind for each in detector.detect("a@b.example +44 20 7946 0958 4111111111111111")] == ["email"]


def test_national_numbers_depend_on_the_regions() -> None:
    """The same digits are a number in one country and none in another."""
    text = "Reception 030 901820 (weekdays)"
    assert PiiDetector.of(PiiRules(phone_regions=("DE",))).detect(text)
    assert not PiiDetector.of(PiiRules(phone_regions=("US",))).detect(text)


def test_an_unknown_region_is_an_error() -> None:
    """It would find nothing, silently."""
    with pytest.raises(ValueError, match="unknown phone regions: UK"):
        PiiDetector.of(PiiRules(phone_regions=("UK",)))
