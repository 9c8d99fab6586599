"""The types of settings: each value from the environment is parsed, or refused with what to write instead.

A ValueError never quotes a secret: the caller shows the variable and, unless it is secret, its value.
"""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, PositiveFloat, SecretStr

from ops.addresses import BROKERS_FORM, checked_brokers, checked_host, checked_url

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

DAY_S = 86_400
"""Maximum seconds of a time limit in the settings."""

WEIGHTS_FORM = '{"gold": 4, "trial": 0.5}'
RATES_FORM = '{"gpt-4o-mini": 2000000, "*": 100000}'


class ValueForm(NamedTuple):
    """The form of a setting's values, in words."""

    text: str


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _upper(value: object) -> object:
    return value.strip().upper() if isinstance(value, str) else value


def _ca_file(path: Path) -> Path:
    try:
        ssl.create_default_context(cafile=str(path))
    except ssl.SSLError:
        raise ValueError("the file has no certificate: name a PEM file of the authority that signed") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise ValueError(f"the file cannot be read ({reason}): name a PEM file that exists") from None
    return path


def _secret_url(secret: SecretStr) -> SecretStr:
    return SecretStr(checked_url(secret.get_secret_value(), "redis", "rediss", "unix"))


def _ascii(secret: SecretStr) -> SecretStr:
    """Return *secret* without surrounding white space, which a file or an editor may have added."""
    text = secret.get_secret_value().strip()
    if not (text.isascii() and text.isprintable()):
        raise ValueError("it has characters other than printable ASCII: copy it again")
    return SecretStr(text)


def _json_object(value: object, form: str) -> object:
    if not isinstance(value, str):
        return value
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"that is no JSON object: write {form}")  # noqa: TRY004 - pydantic reports this one
    return found


def _weights(value: object) -> object:
    return _json_object(value, WEIGHTS_FORM)


def _rates(value: object) -> object:
    return _json_object(value, RATES_FORM)


def _no_surrogates(value: object) -> object:
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("it is not UTF-8: copy it again") from None
    return value


def _http(text: str) -> str:
    return checked_url(text, "http", "https")


Brokers: TypeAlias = Annotated[str, AfterValidator(checked_brokers), ValueForm(BROKERS_FORM)]
Host: TypeAlias = Annotated[str, AfterValidator(checked_host), ValueForm("an IP address or a host name")]
HttpUrl: TypeAlias = Annotated[str, AfterValidator(_http), ValueForm("http:// or https:// URL")]
ValkeyUrl: TypeAlias = Annotated[
    SecretStr, AfterValidator(_secret_url), ValueForm("redis://[USER:PASSWORD@]HOST:PORT/0")
]
PricesFile: TypeAlias = Annotated[Path, ValueForm("a TOML file")]
GuardsFile: TypeAlias = Annotated[Path, ValueForm("a JSON file")]
CaFile: TypeAlias = Annotated[Path, AfterValidator(_ca_file), ValueForm("a PEM file")]
Token: TypeAlias = Annotated[SecretStr, AfterValidator(_ascii), ValueForm("printable ASCII")]
SealSecrets: TypeAlias = Annotated[SecretStr, AfterValidator(_ascii), ValueForm("KID:BASE64, comma-separated")]
Password: TypeAlias = Annotated[SecretStr, BeforeValidator(_no_surrogates), ValueForm("text")]
Text: TypeAlias = Annotated[str, BeforeValidator(_no_surrogates), ValueForm("text")]
Switch: TypeAlias = Annotated[bool, ValueForm("true or false")]
Protocol: TypeAlias = Annotated[SecurityProtocol, BeforeValidator(_upper)]
Mechanism: TypeAlias = Annotated[SaslMechanism, BeforeValidator(_upper)]
ModelClient: TypeAlias = Annotated[Literal["openai", "thin"], BeforeValidator(_lower)]
LogErrors: TypeAlias = Annotated[Literal["places", "text"], BeforeValidator(_lower)]
LogFormat: TypeAlias = Annotated[Literal["json", "console"], BeforeValidator(_lower)]
LogLevel: TypeAlias = Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)]
Weights: TypeAlias = Annotated[
    dict[str, PositiveFloat],
    BeforeValidator(_weights),
    ValueForm(f"JSON with numbers above 0, as {WEIGHTS_FORM}"),
]
TokenRates: TypeAlias = Annotated[
    dict[str, Annotated[int, Field(gt=0, le=10**15)]],
    BeforeValidator(_rates),
    ValueForm(f"JSON with tokens a minute, as {RATES_FORM}"),
]
