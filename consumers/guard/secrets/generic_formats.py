"""SecretFormats that no single provider owns: key blocks, JSON web tokens, addresses, headers and assignments."""

from __future__ import annotations

from typing import Final

from consumers.guard.secrets.assigned_values import (
    NAMES_OF_KEYS,
    NAMES_OF_PASSWORDS,
    SHORT_NAMES,
    is_assigned,
    is_bearer,
    is_beside,
    is_stated,
    is_url_password,
    is_user_password,
)
from consumers.guard.secrets.secret_format import SecretFormat, token
from consumers.guard.secrets.strength import has_digit, has_key_block, is_basic, is_jwt

_BREAK: Final = r"""(?:[\s"',>#|.;]|\\[nrt\\]{0,3}|[ \t]\+)"""
"""Characters between the lines of a key block: line ends, their escapes, quotation marks, and signs of code."""

_HEADERS: Final = rf"(?:{_BREAK}*[A-Z][A-Za-z-]{{2,24}}: [^\n\\]{{0,120}}[\n\\])*"
"""The header lines of encrypted PEM (RFC 1421, section 4.6.1.1) and of PGP's armour."""

_LINES: Final = rf"(?:{_BREAK}*[A-Za-z0-9+/=]{{16,}})*"

_SEPARATOR: Final = r"""\\?["'`\])]{0,2}(?:[ \t]{0,4}(?:=>|:=|===?|=|:)[ \t]{0,4}|>)"""
_NAME: Final = rf"(?i:{NAMES_OF_PASSWORDS}|{NAMES_OF_KEYS}|{SHORT_NAMES})[A-Za-z0-9_.\[\]-]*"
_QUOTED: Final = r"""\\?"((?:[^"\\\s]|\\[^"\sn])+)|\\?'((?:[^'\\\s]|\\[^'\sn])+)|`([^`\s]+)"""
_BARE: Final = (
    r"""([^\s"'`\\<>,;&)\]}\x3f\x80-\xbf]+(?:[,;&)\]}]+[^\s"'`\\<>,;&)\]}\x3f\x80-\xbf=:]+)*)"""
    r"""(?:[\s"'`\\<>,;&)\]}\x3f\x80-\xbf]|\z)"""
)
"""A value without quotation marks. It may contain a separator, unless another name follows this one."""

_STATED: Final = (
    r"(?i:\b(?:pass(?:word|phrase|code|wd)|secret|token|(?:api|access)[ _-]key)\b(?:[ \t]+[A-Za-z0-9_'@-]+){0,5}?"
    r"[ \t](?:is|was|are|be|(?:re)?set[ \t]to|changed[ \t]to)[ \t:]{1,3})"
)
_NAMES_SOURCE: Final = "Names of settings in configuration files and program code"

KEY_BLOCK: Final = (
    r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"
    rf"{_HEADERS}{_LINES}(?:{_BREAK}*[A-Za-z0-9+/=]{{1,15}}){{0,2}}"
    rf"(?:{_BREAK}*-----END (?:[A-Z0-9]+ ){{0,3}}PRIVATE KEY(?: BLOCK)?-----)?"
)

GENERIC_FORMATS: Final = (
    SecretFormat("private_key", KEY_BLOCK, "RFC 7468; RFC 1421; RFC 9580, section 6", has_key_block),
    SecretFormat(
        "putty_private_key",
        r"PuTTY-User-Key-File-[0-9]: ([^\n]*\n(?:[^\n]*\n){0,40}Private-Lines: [0-9]+(?:\r?\n[A-Za-z0-9+/=]+)*)",
        "PuTTY User Manual, appendix C: PPK file format",
        has_digit,
    ),
    token(
        "jwt",
        r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]+){1,3}",
        "RFC 7519; RFC 7516",
        is_jwt,
        generic=True,
    ),
    SecretFormat(
        "url_password",
        r"""[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@"'<>`]{0,64}:([^\s/"'<>`]+)@[A-Za-z0-9\[$%{]""",
        "RFC 3986, section 3.2.1",
        is_url_password,
    ),
    SecretFormat(
        "url_password",
        r"[A-Za-z][A-Za-z0-9+.-]*://([A-Za-z0-9_-]{20,})@[A-Za-z0-9]",
        "RFC 3986, section 3.2.1: a token as the user",
        is_bearer,
    ),
    SecretFormat(
        "authorization_header",
        r"(?i:basic)[ \t]{1,4}([A-Za-z0-9+/_-]{8,}={0,2})",
        "RFC 7617, section 2",
        is_basic,
    ),
    SecretFormat(
        "authorization_header",
        rf"(?i:\bbearer|authorization{_SEPARATOR}\\?[\"']?[a-z-]{{2,16}})[ \t]{{1,4}}([\w.~+/-]{{16,}}={{0,2}})",
        "RFC 6750, section 2.1",
        is_bearer,
        generic=True,
    ),
    SecretFormat(
        "assigned_secret", f"{_NAME}{_SEPARATOR}(?:{_QUOTED}|{_BARE})", _NAMES_SOURCE, is_assigned, generic=True
    ),
    SecretFormat(
        "assigned_secret",
        rf"(?:\A|\s)--(?:[a-z]{{1,16}}-){{0,3}}{_NAME}[ \t]{{1,4}}(?:{_QUOTED}|{_BARE})",
        _NAMES_SOURCE,
        is_assigned,
        generic=True,
    ),
    SecretFormat(
        "assigned_secret",
        rf"{_NAME}[\"']?[\s,]+[\"']?value[\"']?[ \t]{{0,4}}[:=][ \t]{{0,4}}(?:{_QUOTED}|{_BARE})",
        "Kubernetes and container manifests: the variables of a container",
        is_assigned,
        generic=True,
    ),
    SecretFormat(
        "assigned_secret",
        rf"(?i:{NAMES_OF_PASSWORDS}|{NAMES_OF_KEYS}|identified[ \t]by)[\"'`]?"
        rf"(?:[ \t]{{0,4}}(?:->|,|\||\()[ \t]{{0,4}}|[ \t]{{1,4}})(?:{_QUOTED}|{_BARE})",
        "Arguments of calls and commands, tables, and SQL",
        is_beside,
        generic=True,
    ),
    SecretFormat(
        "assigned_secret",
        r"""(?:sshpass|mysql|mysqldump|redis-cli|unlock-keychain)[^\n]*?[ \t]-[pa][ \t]?["']?([^\s"'`]{6,})""",
        "Manuals of sshpass, mysql, redis-cli and security",
        is_user_password,
        generic=True,
    ),
    SecretFormat(
        "assigned_secret",
        rf"{_STATED}(?:{_QUOTED}|{_BARE})",
        _NAMES_SOURCE,
        is_stated,
        generic=True,
    ),
    SecretFormat(
        "assigned_secret",
        r"""(?:[ \t]-u|--user)[ =]{1,3}["']?[\w.@+-]{1,64}:([^\s"'`]{4,})""",
        "curl manual, option --user",
        is_user_password,
        generic=True,
    ),
)
