"""Text without secrets has no finding: each false one would destroy a part of a request."""

from __future__ import annotations

import base64
import hashlib
import random
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from faker import Faker

from consumers.guard.finding import findings
from consumers.guard.secrets.task import detector_of
from tests.contract.planted import ROOMS, ROOT
from tests.unit.consumers.guard.secrets.generated import BASE64, UPPER, some

DETECTOR = detector_of()
SIZE = 100
"""Texts of each sort."""

DIGESTS = ("md5", "sha1", "sha256", "sha512")


def _digest(chance: random.Random) -> str:
    return hashlib.new(chance.choice(DIGESTS), chance.randbytes(9), usedforsecurity=False).hexdigest()


def _hashes(chance: random.Random) -> str:
    value = _digest(chance)
    places = (
        "{}",
        "commit {}",
        "image: acme/app@sha256:{}",
        '{{"sha256": "{}"}}',
        "ETag: {}",
        "{}  headrace-0.1.0.tar.gz",
        "password_hash: {}",
        "token_sha256={}",
        "md5: {}",
        "secret_digest = '{}'",
        "Merge {} into main",
        "--hash=sha256:{}",
    )
    return chance.choice(places).format(value)


def _identifiers(chance: random.Random) -> str:
    value = str(uuid.UUID(int=chance.getrandbits(128), version=4))
    places = (
        "{}",
        '"id": "{}"',
        "request_id={}",
        "run {} ended",
        "token_id: {}",
        "GET /v1/items/{}",
        "primary key {}",
        "the session {} is over",
        "trace={}",
        "api_key_id = {}",
    )
    return chance.choice(places).format(value)


def _parts(chance: random.Random) -> str:
    return chance.choice(
        (
            f"part number {some(chance, UPPER, 4)}-{some(chance, UPPER, 6)}-{some(chance, UPPER, 3)}",
            f"=SUM(A{chance.randrange(99)}:AC{chance.randrange(999)})*$B${chance.randrange(99)}",
            f"v{chance.randrange(9)}.{chance.randrange(99)}.{chance.randrange(99)}-rc.1+build.{chance.randrange(9999)}",
            f"ISBN 978-3-16-{chance.randrange(10**6):06}-{chance.randrange(9)}",
            f"arn:aws:s3:::acme-bucket-{chance.randrange(999)}/path/to/key-{chance.randrange(999)}",
            f"projects/acme-{chance.randrange(999)}/locations/europe-west{chance.randrange(9)}/keyRings/main",
            f"/subscriptions/{uuid.UUID(int=chance.getrandbits(128))}/resourceGroups/app",
            f"order {some(chance, UPPER, 10)} of 2026-11-{chance.randrange(10, 30)}T10:11:12Z",
            f"AC{chance.randrange(10**6)} SK{chance.randrange(10**6)}",
        )
    )


def _logs(chance: random.Random) -> str:
    at = f"2026-12-01T03:{chance.randrange(10, 60)}:00.{chance.randrange(999):03}Z"
    return chance.choice(
        (
            f"{at} INFO auth: token expired for user {chance.randrange(10**6)}, status=401 in {chance.randrange(99)}ms",
            f"{at} WARN password reset requested by user-{chance.randrange(10**4)}",
            f"{at} DEBUG max_tokens={chance.randrange(10**5)} prompt_tokens: {chance.randrange(10**5)}",
            f'10.0.0.{chance.randrange(255)} - - "GET /login?next=/home HTTP/1.1" 200 {chance.randrange(10**5)}',
            f"{at} kafka partition=3 offset={chance.randrange(10**9)} key=tenant-{chance.randrange(999)}",
            f"token bucket: {chance.randrange(10**4)} of {chance.randrange(10**5)} left; secret rotation is due",
        )
    )


def _images(chance: random.Random) -> str:
    encoded = base64.b64encode(b"\x89PNG\r\n\x1a\n" + chance.randbytes(1_500)).decode()
    return f'<img src="data:image/png;base64,{encoded}">'


def _public_keys(chance: random.Random) -> str:
    body = some(chance, BASE64, 360)
    dashes = "-" * 5
    lines = "\n".join(body[at : at + 64] for at in range(0, len(body), 64))
    label = chance.choice(("CERTIFICATE", "PUBLIC KEY", "RSA PUBLIC KEY", "CERTIFICATE REQUEST"))
    return chance.choice(
        (
            f"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQ{body} me@host",
            f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{body[:43]} me@host",
            f"{dashes}BEGIN {label}{dashes}\n{lines}\n{dashes}END {label}{dashes}",
        )
    )


PLACEHOLDERS = (
    "password=${DB_PASSWORD}",
    "password: <your-password>",
    "api_key = 'your-api-key'",
    "API_KEY=xxxxxxxxxxxxxxxxxxxxxxxx",
    "token: {{ secrets.DEPLOY_TOKEN }}",
    "secret = os.environ['APP_SECRET2']",
    'password = os.getenv("DB_PASSWORD_1")',
    "const apiKey = process.env.OPENAI_API_KEY1;",
    "token = get_token(user_id=17)",
    "password = input('Password: ')",
    "client_secret: changeme1",
    "password = secrets.token_hex(16)",
    "api_key=settings.api_key2",
    'token = f"{prefix}-{number}"',
    "AWS_ACCESS_KEY_ID=" + "AKIA" + "IOSFODNN7EXAMPLE",
    "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCY" + "EXAMPLEKEY",
    "export OPENAI_API_KEY=sk-" + "x" * 40,
    "Authorization: Bearer $TOKEN",
    "Authorization: Bearer <access_token>",
    'curl -H "Authorization: Bearer ${ACCESS_TOKEN_V2}"',
    "postgres://user:password@localhost/app",
    "postgres://app:${PASSWORD}@db/app",
    "https://user:pass@example.com",
    "amqp://guest:guest@localhost:5672",
    "redis://localhost:6379/0",
    "http://localhost:8080/@scope/name",
    "password: str | None = None",
    "def login(user: str, password: SecretStr1) -> Token2:",
    "token: int64",
    "secret_name: my-app-tls-2",
    "secretRef: db-credentials-v2",
    "token_type: Bearer",
    "token_url: https://login.acme.io/oauth2/token",
    "password_hash: $2b$12$abcdefghijklmnopqrstuv",
    'password = "*****"',
    "Password must have 12-64 characters, 1 digit and 1 symbol.",
    "the password is required",
    "The token is base64-encoded, and the secret is 32-bytes long.",
    "my password is not-set",
    "basic authentication, bearer tokens",
    "docker run -u 1000:1000 app",
    "key-value pairs, primary keys, api keys",
    "pass: 3 of 14",
    "The private key begins with `" + "-" * 5 + "BEGIN RSA PRIVATE KEY" + "-" * 5 + "` and ends with an END line.",
    "-" * 5 + "BEGIN PRIVATE KEY" + "-" * 5 + "\n...\n" + "-" * 5 + "END PRIVATE KEY" + "-" * 5,
    "The eyJ prefix is base64 of an object: eyJmb28iOiJiYXIifQ.eyJmb28iOiJiYXIifQ.c2lnbmF0dXJl",
    "[secret removed: github_token]",
    "sk-learn, sk-lines and sk-circle-fade-dot-container-element",
    "hf_hub_download(repo_id) and npm_config_registry, glpat-rotation",
    "xoxb- is the prefix of a bot's token",
)

SORTS = {
    "hashes": _hashes,
    "identifiers": _identifiers,
    "parts": _parts,
    "logs": _logs,
    "images": _images,
    "public keys": _public_keys,
}


@pytest.mark.parametrize("sort", SORTS)
def test_generated_technical_text_has_no_secret(sort: str) -> None:
    """Hashes, identifiers and part numbers are as random as tokens, and no secrets."""
    chance = random.Random(5)
    texts = [SORTS[sort](chance) for _ in range(SIZE)]
    assert [text for text in texts if findings(DETECTOR.detect, text)] == []


@pytest.mark.parametrize("text", PLACEHOLDERS)
def test_placeholders_and_code_are_no_secrets(text: str) -> None:
    """A document that explains how to set a password has none."""
    assert findings(DETECTOR.detect, text) == ()


@pytest.mark.parametrize("language", ["en_US", "de_DE", "fr_FR", "ja_JP", "ru_RU", "ar_AA"])
def test_prose_has_no_secret(language: str) -> None:
    """Prose of any script passes."""
    fake = Faker(language)
    fake.seed_instance(3)
    text = "\n".join([*fake.paragraphs(nb=120), *(fake.address() for _ in range(50)), *(fake.uri() for _ in range(50))])
    assert findings(DETECTOR.detect, text) == ()


def _sources() -> Iterator[Path]:
    for folder in (*ROOMS, "docs", "requirements"):
        yield from (
            file for file in sorted((ROOT / folder).rglob("*")) if file.suffix in {".py", ".md", ".json", ".lua"}
        )


def test_this_repository_has_no_secret() -> None:
    """Its code and its pages are full of tokens, keys and hashes by name."""
    found = {
        (str(file.relative_to(ROOT)), each.kind)
        for file in _sources()
        for each in DETECTOR.detect(file.read_text(encoding="utf-8"))
    }
    assert found == set()
