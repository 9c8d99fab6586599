"""Invisible characters: the ones to remove, and the ones that a script or an emoji needs.

Removed: Default_Ignorable_Code_Point (UAX #44; UTS #39 excludes them from identifiers, UTR #36 gives the reasons), the
interlinear annotation marks, and control characters that are not white space. A lone surrogate becomes U+FFFD.

Kept, because the text means or looks something else without it:

- a joiner (ZWJ, ZWNJ) after a letter or mark of a script that joins or stacks: Arabic and its relatives, the scripts of
  India and their relatives (UAX #31, section 2.3). The next character does not matter: old Malayalam ends words with a
  joiner;
- ZWJ between two emoji, and a variation selector 15 or 16 after one or within a keycap (UTS #51, ED-9a to ED-16);
- the tags of the three flags that are recommended for interchange (UTS #51, ED-14a, RGI_Emoji_Tag_Sequence);
- Mongolian variation and vowel selectors after Mongolian.

Each rule checks only properties that no canonical reordering changes (UAX #15), so a clean text stays as it is. The
module ``characters.py`` applies the rules.
"""

from __future__ import annotations

from typing import Final

BLACK_FLAG: Final = "\U0001f3f4"
FLAG_TAGS: Final = tuple(
    "".join(chr(0xE0000 + ord(letter)) for letter in region) + "\U000e007f" for region in ("gbeng", "gbsct", "gbwls")
)
"""The tags after the black flag in the flags of England, Scotland and Wales."""

REPLACEMENT: Final = "\ufffd"


def _characters(*ranges: tuple[int, int]) -> frozenset[str]:
    return frozenset(chr(code) for first, last in ranges for code in range(first, last + 1))


_CONTROLS: Final = ((0x00, 0x08), (0x0E, 0x1F), (0x7F, 0x84), (0x86, 0x9F))
_SURROGATES: Final = (0xD800, 0xDFFF)

UNSEEN: Final = _characters(
    *_CONTROLS,
    _SURROGATES,
    (0x00AD, 0x00AD),
    (0x034F, 0x034F),
    (0x061C, 0x061C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFFB),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
)
"""Every character that is removed unless a rule keeps it. NFKC makes none of them from any other (tested)."""

ASCII_CONTROLS: Final = {ord(char): None for char in _characters(*_CONTROLS) if char.isascii()}
"""The ASCII control characters of ``UNSEEN`` for ``str.translate``, which is fastest for ASCII texts."""

JOINING: Final = _characters(
    (0x0600, 0x08FF),  # Arabic, Syriac, N'Ko, Mandaic
    (0x0900, 0x0DFF),  # Devanagari to Sinhala
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x18AF),  # Khmer, Mongolian
    (0x1B00, 0x1BFF),  # Balinese, Sundanese, Batak
    (0x1CD0, 0x1CFF),  # Vedic
    (0xA840, 0xA8FF),  # Phags-pa, Saurashtra
    (0xA980, 0xA9FF),  # Javanese
    (0xABC0, 0xABFF),  # Meetei Mayek
    (0x10A00, 0x10BFF),  # Kharoshthi, Manichaean, Psalter Pahlavi
    (0x10D00, 0x10D3F),  # Hanifi Rohingya
    (0x10F30, 0x10FDF),  # Sogdian, Chorasmian
    (0x11000, 0x11FFF),  # Brahmi and its relatives
    (0x1E900, 0x1E95F),  # Adlam
)
"""Blocks of the scripts that join or stack."""

MONGOLIAN: Final = _characters((0x1820, 0x18AA))
# Whole blocks instead of the property Extended_Pictographic: a later Unicode version may add emoji to them.
PICTURES: Final = _characters(
    (0x00A9, 0x00A9),
    (0x00AE, 0x00AE),
    (0x2190, 0x21FF),
    (0x2300, 0x23FF),
    (0x25A0, 0x27BF),
    (0x2900, 0x297F),
    (0x2B00, 0x2BFF),
    (0x3030, 0x3030),
    (0x303D, 0x303D),
    (0x1F000, 0x1F1E5),
    (0x1F200, 0x1FAFF),
    (0x1FC00, 0x1FFFD),
)
