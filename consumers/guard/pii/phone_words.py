"""The words that announce a phone number, in the languages of the default regions."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Literal, TypeAlias

from consumers.guard.pii.surroundings import WINDOW

Announcement: TypeAlias = Literal["", "near", "direct"]
"""``direct``: only small words are between the announcement and the number."""

_NOUN: Final = r"""
    (?: (?:tele|smart)?(?:phone|fon|fono|foon|fone|fax|telefax)s? | tel | telf | telef[oó]n\w* | t[eé]l[eé]phon\w*
      | telefax | puhelin\w* | puh | tlf | mobiles? | mobil\w* | m[oó]vil | celular | celulare | cellulare | cells?
      | cellphone | mob | handy | portable | gsm | whats\s?app | signal | viber | sms | pager | hotline | helpline
      | landline | switchboard
      | (?:my|his|her|our|your|their|new|old|other|home|work|office|business|desk|contact|direct|private|personal
          |emergency|daytime|evening|alternat\w+|backup)\snumbers?
      | call(?:ed|ing)?\s(?:me|us|him|her|them|back) | (?:reach|ring|text|message|dial|contact)\s(?:me|us|him|her|them)
      | anruf\w* | ruf\w* | erreich\w* | appel\w* | joindre | joignable | llam\w* | chiam\w* | ligue | ligar | bellen
      | nummer | num[eé]ro | n[uú]mero | numer | zadzwo\w* | dzwo\w* | volejte | soita | ringa
      | телефон\w* | тел | моб | номер\w* | звон\w* | позвон\w* )"""
_VERB: Final = r"(?:call|dial|ring|reach|contact|text|bel|cel)"
_UNSPACED: Final = "電話|电话|手机|手機|携帯|連絡先|联系|전화|연락처|휴대폰|טלפון|נייד|هاتف|جوال|تلفن|फ़ोन|फोन|मोबाइल"
_SMALL: Final = r"""
    (?: [\s:=.,"'(\[<\#*_/-]+
      (?: (?:
            numbers? | no | nr | num | is | was | are | at | on | to | under | via | by | my | me | us | our | your
            | his | her | the | new | now | home | work | office | cell | mobile | direct | personal | private |
            privat | back | again | anytime | after | dear | instead | also | only | or | and | line | asap | please
            | it | value | text | string | a | an | de | di | do | le | la | el | am | um | ist | est | es | è | é |
            unter | auf | mich | au | sur | al | en | em | op | na | på | pod | od | или | по | мой
          )
        (?![^\W_]) )
    ){0,5}
    [\s:=.,"'(\[<\#*-]* \Z"""

_DIRECT: Final = re.compile(
    rf"(?ix) (?<![^\W_]) (?:{_NOUN}|{_VERB}) (?![^\W_]) {_SMALL} | (?:{_UNSPACED}) [^\d]{{0,12}} \Z"
)
_NEAR: Final = re.compile(rf"(?ix) (?<![^\W_]) (?: {_NOUN} | (?P<verb>{_VERB}) ) (?![^\W_]) | {_UNSPACED}")
_SAME_DIGITS: Final = str.maketrans("123456789", "000000000")
"""Most lists of numbers have the same words before each, so the words are searched once."""

_LETTER: Final = re.compile(r"[^\W\d_]")
_FOLLOWING: Final = re.compile(
    r"(?i)['\")]?,?\s(?:is|was)\s(?:my|his|her|our|the|their)\s(?:\w+\s){0,2}(?:number|phone|mobile|cell|landline|tel)"
    r"|['\")]?\s\((?:mobile|cell|home|work|office|phone|tel|fax)\)"
)


def announcement(text: str, start: int) -> Announcement:
    """Return how words before *start* announce a phone number."""
    before = text[max(0, start - WINDOW) : start]
    return _announcement(before.translate(_SAME_DIGITS)) if _LETTER.search(before) else ""


@lru_cache(maxsize=8_192)
def _announcement(before: str) -> Announcement:
    if not (near := _NEAR.search(before)):
        return ""
    if _DIRECT.search(before, near.start()):
        return "direct"
    return "" if near["verb"] else "near"


def is_named_after(text: str, end: int) -> bool:
    """Return True if words after *end* call what is before them a phone number."""
    return _FOLLOWING.match(text, end) is not None
