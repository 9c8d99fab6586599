"""Judgement of values by the name or the words before them: ``password=``, ``"api_key":``, ``Bearer``, ``user:...@``.

The names are those of configuration files, program code and shells. The value decides: a word, an identifier, a call,
a path, a date or a placeholder is no secret.
"""

from __future__ import annotations

import re
from typing import Final

from consumers.guard.secrets.strength import LIKELY, PLACEHOLDER, POSSIBLE, entropy, searcher

NAMES_OF_PASSWORDS: Final = r"pass[_ -]?(?:word|wd|phrase|code)|passwort|kennwort|contrase[n\xf1]a|senha|pwd"
NAMES_OF_KEYS: Final = (
    r"secret|token|credential|(?:openai|anthropic|gemini|mistral|cohere|groq|deepseek|stripe|sendgrid|twilio|mailgun|slack"
    r"|github|gitlab|azure|google|datadog|algolia|sentry|cloudflare|supabase|api|access|auth|account|client|service|private|encryption|signing|master|session|db"
    r"|database|webhook|admin|app|shared|storage|license|hmac|jwt)[_. -]?key"
)

SHORT_NAMES: Final = r"(?:\b|_)(?:pass|pw|auth)(?:\b|_)"
"""Names that are also words, so they need a sign after them."""

_PASSWORD: Final = re.compile(rf"(?i)\W*_?(?:{NAMES_OF_PASSWORDS}|pass|pw)")
_OTHER_NAME: Final = searcher(
    r"(?i)hash|digest|sha[0-9_]|md5|checksum|[_.-]?id[\"'\]]*\s*[=:]|uuid|name|url|uri|path|file|type|length|count|limit"
    r"|ttl|expir|version|policy|field|label|hint|prompt|regex|pattern|format|algo|budget|usage|bucket|ref\b|arn"
    r"|header|class|size|min|max|endpoint|issuer|scope|public|method|mode|algorithm|index|offset|date|time|_at\b"
)
"""Names that contain a name of secrets, and mean something else: a hash, a place, a number."""

_HASH: Final = re.compile(r"(?i)(?:sha[0-9]{1,3}|md5|sha)[:-]|\$[0-9a-z]{1,8}\$|\{s?sha|pbkdf2|bcrypt|argon2|scrypt")
_CODE: Final = re.compile(
    r"[A-Za-z_][\w.]*[(\[{]|\$?[A-Za-z_]\w*(?:(?:\.|::|->)[A-Za-z_]\w*)+$|[$@%{\[(<*&!/.~]|\$\w+$|\\"
)
"""Calls, subscripts, dotted names, variables, references and paths: values that a program computes."""

_NUMBER: Final = re.compile(r"[0-9.:/_+-]+[A-Za-z%]{0,3}|[0-9]{4}-[0-9]{2}-[0-9]{2}\S*|v?[0-9]+(?:\.[0-9]+)+\S*")
_WORD: Final = re.compile(r"[A-Za-z]+[0-9]{0,3}|[0-9]{0,4}|[A-Za-z]{1,20}[0-9]{1,5}[A-Za-z]{2,20}|v[0-9]+")
_SMALL: Final = re.compile("[a-z]+")
_DIGITS: Final = re.compile("[0-9]+")
_LETTER: Final = re.compile("[A-Za-z]")
_SHORTEST: Final = 8
_KEYWORD: Final = re.compile(r"[A-Za-z_]\w*=")
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_PARTS: Final = re.compile(r"[^A-Za-z0-9]+")
_NAMES: Final = re.compile(
    r"(?i)pass|secret|token|key|user|login|cred|auth|value|field|param|string|test|admin|temp|foo|bar"
)
_DEFAULTS: Final = frozenset(
    {"password", "pass", "passwd", "pwd", "pw", "secret", "token", "user", "key", "guest", "x"}
)


def is_assigned(before: str, value: str) -> float:
    """Return the confidence that the value of a named setting is a secret."""
    value = value.rstrip(")]}>.,;:_*")
    if _OTHER_NAME.search(before) or _computed(value):
        return 0.0
    if _PASSWORD.match(before):
        return _password(value, quoted=before[-1] in "\"'`")
    return LIKELY if len(value) >= 8 and "(" not in value and _random(value) else 0.0  # noqa: PLR2004 - others are names


def is_user_password(_before: str, value: str) -> float:
    """Return the confidence that a value after a user's name and a colon is a password."""
    return 0.0 if _computed(value) else _password(value, quoted=True)


def is_beside(before: str, value: str) -> float:
    """Return the confidence that a value after a name, without a sign between them, is a secret.

    Here a sentence may go on, so the value has digits, letters and an odd order of them, and is no identifier.
    """
    value = value.rstrip(")]}>.,;:_*|")
    if (
        _OTHER_NAME.search(before)
        or _computed(value)
        or _UUID.fullmatch(value)
        or len(value) < _SHORTEST
        or _KEYWORD.match(value)
    ):
        return 0.0
    return POSSIBLE if _DIGITS.search(value) and not value.isdigit() and _random(value) else 0.0


def is_stated(_before: str, value: str) -> float:
    """Return the confidence that a value in a sentence ("the password is ...") is a secret."""
    value = value.rstrip(".,;:!?")
    if _computed(value) or (len(_PARTS.split(value)) > 1 and _wordlike(value)):
        return 0.0
    return _password(value, quoted=True) and POSSIBLE


def is_bearer(_before: str, value: str) -> float:
    """Return LIKELY for the random value of an authorization header."""
    return LIKELY if not PLACEHOLDER.search(value) and _random(value) else 0.0


def is_url_password(before: str, value: str) -> float:
    """Return LIKELY for the password of an address, unless it is a placeholder or repeats the user's name."""
    user = before.rpartition("/")[2].removesuffix(":")
    if PLACEHOLDER.search(value) or value.lower() in {*_DEFAULTS, user.lower()} or value[0] in "$%{<[":
        return 0.0
    return 0.0 if len(value) < 3 else LIKELY  # noqa: PLR2004 - two letters are a variable


def _computed(value: str) -> bool:
    return bool(PLACEHOLDER.search(value) or _HASH.match(value) or _CODE.match(value) or "://" in value)


def _password(value: str, *, quoted: bool) -> float:
    if len(value) < 6:  # noqa: PLR2004 - no system accepts a shorter one
        return 0.0
    if value.isdigit():
        return POSSIBLE
    if _NUMBER.fullmatch(value) or not re.search(r"[^A-Za-z_.\-/]", value):
        return LIKELY if _random_letters(value) else 0.0
    return 0.0 if _named(value, quoted=quoted) else LIKELY


def _named(value: str, *, quoted: bool) -> bool:
    """Return True for an identifier, such as ``user_password2`` or ``newPassword1``."""
    if re.search(r"[^\w.\-]", value):
        return False
    parts = _PARTS.split(value.replace("_", "-"))
    if len(parts) > 1 and _wordlike(value):
        return True
    return not re.search("[0-9]{3}", value) and bool(_NAMES.search(value)) and (not quoted or value.islower())


def _random(value: str) -> bool:
    if _NUMBER.fullmatch(value):
        return False
    numbers = _DIGITS.findall(value)
    if not (value.isalnum() and len(numbers) >= 3) and _wordlike(value):  # noqa: PLR2004 - no word has three numbers
        return False
    if not numbers or not _LETTER.search(value):
        return _random_letters(value)
    return entropy(value) >= (3.0 if len(value) >= 16 else 2.6)  # noqa: PLR2004 - hexadecimal digits have 4 bits at most


def _wordlike(value: str) -> bool:
    """Return True if each part between signs is a word, a short number, or a word with a number."""
    return all(_WORD.fullmatch(part) and not _random_letters(part) for part in _PARTS.split(value.replace("_", "-")))


def _random_letters(value: str) -> bool:
    """Return True for letters of mixed case without the order of words: small letters come in pairs on average."""
    if len(value) < 10 or value.islower() or value.isupper():  # noqa: PLR2004 - fewer letters say nothing
        return False
    small = _SMALL.findall(value)
    letters = sum(map(str.isalpha, value))
    return len("".join(small)) <= 2.5 * len(small) and 0.25 <= len("".join(small)) / letters <= 0.7  # noqa: PLR2004
