"""Secrets of every kind, generated from their formats. No text of this file looks like a secret."""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias
from zlib import crc32

from consumers.guard.secrets.strength import base62

LETTERS: Final = string.ascii_letters
ALNUM: Final = LETTERS + string.digits
URL: Final = ALNUM + "_-"
HEX: Final = string.digits + "abcdef"
UPPER: Final = string.ascii_uppercase + string.digits
BASE64: Final = ALNUM + "+/"
DIGITS: Final = string.digits


class Planted(NamedTuple):
    """A secret with the context that its format requires before and after it."""

    kind: str
    secret: str
    before: str = ""
    after: str = ""

    @property
    def text(self) -> str:
        return self.before + self.secret + self.after


Chance: TypeAlias = random.Random
Make: TypeAlias = Callable[[Chance], str]


def some(chance: Chance, alphabet: str, size: int) -> str:
    """Return random characters with a digit and letters of each case, as far as the alphabet has them."""
    while True:
        value = "".join(chance.choices(alphabet, k=size))
        if size < 12 or not set(DIGITS) & set(alphabet) or any(char.isdigit() for char in value):
            return value


def _made(template: str) -> Make:
    """Return a maker: each ``{alphabet:size}`` of the template becomes random characters."""

    class Fill:
        def __init__(self, chance: Chance, alphabet: str) -> None:
            self._chance, self._alphabet = chance, alphabet

        def __format__(self, size: str) -> str:
            return some(self._chance, self._alphabet, int(size))

    sets = {"a": ALNUM, "u": URL, "h": HEX, "U": UPPER, "b": BASE64, "d": DIGITS, "l": LETTERS}
    return lambda chance: template.format(**{name: Fill(chance, letters) for name, letters in sets.items()})


def _b64(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _jwt(chance: Chance) -> str:
    head = _b64({"alg": chance.choice(["HS256", "RS256", "EdDSA"]), "typ": "JWT"})
    return f"{head}.{_b64({'sub': some(chance, DIGITS, 8), 'iat': 1700000000})}.{some(chance, URL, 43)}"


def _github(prefix: str) -> Make:
    def make(chance: Chance) -> str:
        body = some(chance, ALNUM, 30)
        return prefix + body + base62(crc32(body.encode())).rjust(6, "0")

    return make


def _discord(chance: Chance) -> str:
    head = base64.urlsafe_b64encode(some(chance, DIGITS, 18).encode()).decode().rstrip("=")
    return f"{head}.{some(chance, URL, 6)}.{some(chance, URL, 38)}"


def _pem(label: str, headers: str = "", mark: str = "") -> Make:
    def make(chance: Chance) -> str:
        body = some(chance, BASE64, 64 * 6 + 20) + "=="
        lines = "\n".join(body[at : at + 64] for at in range(0, len(body), 64))
        dashes = "-" * 5
        return f"{dashes}BEGIN {label}{dashes}\n{headers}{lines}{mark}\n{dashes}END {label}{dashes}"

    return make


def _password(chance: Chance) -> str:
    return some(chance, LETTERS, 6) + some(chance, "!#%^+", 1) + some(chance, DIGITS, 2) + some(chance, ALNUM, 4)


def _basic(chance: Chance) -> str:
    return base64.b64encode(f"{some(chance, LETTERS, 6)}:{_password(chance)}".encode()).decode()


PK: Final = "PRIVATE KEY"
UUID: Final = "{h:8}-{h:4}-4{h:3}-a{h:3}-{h:12}"

TOKENS: Final[tuple[tuple[str, Make], ...]] = (
    *(("github_token", _github(f"gh{kind}_")) for kind in "pousr"),
    ("github_token", _made("github" + "_pat_{a:22}_{a:59}")),
    ("github_token", lambda chance: f"ghs_{some(chance, DIGITS, 6)}_{_jwt(chance)}"),
    *(("gitlab_token", _made(f"gl{kind}-{{u:20}}")) for kind in ("pat", "dt", "rt", "ptt", "cbt")),
    ("gitlab_token", _made("glp" + "at-{u:27}.01.{a:9}")),
    ("aws_access_key_id", _made("AK" + "IA{U:16}")),
    ("aws_access_key_id", _made("AS" + "IA{U:16}")),
    ("google_api_key", _made("AI" + "za{u:35}")),
    ("google_oauth_secret", _made("GOC" + "SPX-{u:28}")),
    ("google_oauth_token", _made("ya" + "29.{u:60}")),
    ("slack_token", _made("xo" + "xb-{d:12}-{d:12}-{a:24}")),
    ("slack_token", _made("xo" + "xp-{d:12}-{d:12}-{d:12}-{h:32}")),
    ("slack_token", _made("xap" + "p-1-A{U:10}-{d:13}-{h:64}")),
    ("stripe_key", _made("sk" + "_live_{a:24}")),
    ("stripe_key", _made("rk" + "_test_{a:99}")),
    ("stripe_webhook_secret", _made("wh" + "sec_{a:32}")),
    ("openai_key", _made("s" + "k-{a:20}T3BlbkFJ{a:20}")),
    ("openai_key", _made("s" + "k-proj-{u:74}T3BlbkFJ{u:74}")),
    ("openai_key", _made("s" + "k-{h:32}")),
    ("anthropic_key", _made("s" + "k-ant-api03-{u:93}AA")),
    ("huggingface_token", _made("h" + "f_{l:34}")),
    ("npm_token", _github("np" + "m_")),
    ("pypi_token", _made("py" + "pi-AgEIcHlwaS5vcmc{u:120}")),
    ("sendgrid_key", _made("S" + "G.{u:22}.{u:43}")),
    ("twilio_key", _made("S" + "K{h:32}")),
    ("twilio_account_sid", _made("A" + "C{h:32}")),
    ("mailgun_key", _made("ke" + "y-{h:32}")),
    ("mailgun_key", _made("{h:32}-{h:8}-{h:8}")),
    ("mailchimp_key", _made("{h:32}-us1")),
    ("telegram_bot_token", _made("{d:10}:AA{u:33}")),
    ("discord_token", _discord),
    *(("shopify_token", _made(f"shp{kind}_{{h:32}}")) for kind in ("at", "ca", "pa", "ss")),
    ("square_token", _made("sq0" + "atp-{u:22}")),
    ("square_token", _made("EA" + "AA{u:60}")),
    ("digitalocean_token", _made("do" + "p_v1_{h:64}")),
    ("databricks_token", _made("da" + "pi{h:32}")),
    ("atlassian_token", _made("AT" + "ATT3xFfGF0{u:170}={U:8}")),
    ("bitbucket_token", _made("AT" + "BB{a:32}")),
    ("linear_key", _made("li" + "n_api_{a:40}")),
    ("notion_key", _made("nt" + "n_{a:46}")),
    ("notion_key", _made("se" + "cret_{a:43}")),
    ("azure_client_secret", _made("{a:3}8Q~{u:34}")),
    ("cloudflare_token", _made("cf" + "ut_{a:40}{h:8}")),
    ("heroku_key", _made("HR" + "KU-AA{u:58}")),
    ("vault_token", _made("hv" + "s.{u:90}")),
    ("doppler_token", _made("d" + "p.pt.{a:43}")),
    ("terraform_token", _made("{a:14}.atl" + "asv1.{u:67}")),
    ("age_secret_key", lambda chance: "AGE-SECRET" + "-KEY-1" + some(chance, "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58)),
    ("groq_key", _made("gs" + "k_{a:52}")),
    ("xai_key", _made("xa" + "i-{a:80}")),
    ("docker_token", _made("dckr" + "_pat_{u:27}")),
    ("grafana_token", _made("gl" + "sa_{a:32}_{h:8}")),
    ("sentry_token", _made("sn" + "tryu_{h:64}")),
    ("postman_key", _made("PM" + "AK-{h:24}-{h:34}")),
    ("newrelic_key", _made("NR" + "AK-{U:27}")),
    ("supabase_key", _made("sb" + "p_{h:40}")),
    ("tailscale_key", _made("ts" + "key-auth-{a:12}CNTRL-{a:32}")),
    ("airtable_token", _made("pa" + "t{a:14}.{h:64}")),
    ("jwt", _jwt),
    ("private_key", _pem(PK)),
    ("private_key", _pem("RSA " + PK)),
    ("private_key", _pem("EC " + PK)),
    ("private_key", _pem("OPENSSH " + PK)),
    ("private_key", _pem("ENCRYPTED " + PK)),
    ("private_key", _pem("RSA " + PK, "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0A1B2C3D4E5F\n\n")),
    ("private_key", _pem("PGP " + PK + " BLOCK", "Version: GnuPG v2\n\n", "\n=aB3d")),
    ("private_key", lambda chance: json.dumps(_pem(PK)(chance) + "\n")[1:-1].removesuffix("\\n")),
)
"""Secrets that are recognized without context. Each prefix is in two parts."""

IN_CONTEXT: Final[tuple[tuple[str, str, Make, str], ...]] = (
    ("aws_secret_access_key", "aws_secret_access_key = ", _made("{b:40}"), ""),
    ("aws_secret_access_key", '"SecretAccessKey": "', _made("{b:40}"), '"'),
    ("google_api_key", "https://maps.googleapis.com/maps/api/js?key=", _made("AI" + "za{u:35}"), "&v=3"),
    ("slack_webhook", "https://hooks.slack.com/services/", _made("T{U:9}/B{U:9}/{a:24}"), ""),
    ("discord_webhook", "https://discord.com/api/webhooks/123456789012345678/", _made("{u:68}"), ""),
    ("azure_storage_key", "DefaultEndpointsProtocol=https;AccountName=acme;AccountKey=", _made("{b:86}=="), ";"),
    ("azure_shared_access_key", "Endpoint=sb://acme/;SharedAccessKeyName=root;SharedAccessKey=", _made("{b:43}="), ""),
    ("azure_sas_signature", "https://acme.blob.core.windows.net/a?sv=2022-11-02&sp=r&sig=", _made("{a:43}%3D"), ""),
    ("cloudflare_key", "CLOUDFLARE_API_TOKEN=", _made("{u:40}"), ""),
    ("heroku_key", "HEROKU_API_KEY=", _made(UUID), ""),
    ("telegram_bot_token", "https://api.telegram.org/bot", _made("{d:10}:AA{u:33}"), "/getMe"),
    ("url_password", "postgres://app:", _password, "@db.internal:5432/app"),
    ("url_password", "https://deploy:", _made("{a:20}"), "@git.acme.io/x.git"),
    ("url_password", "redis://:", _made("{a:16}"), "@cache:6379/0"),
    ("authorization_header", "Authorization: Bearer ", _made("{u:40}"), ""),
    ("authorization_header", "Authorization: Basic ", _basic, ""),
    ("authorization_header", 'headers = {"Authorization": "token ', _made("{h:40}"), '"}'),
    ("authorization_header", "curl -H 'Authorization: Bearer ", _made("{a:32}"), "' https://api.acme.io"),
    ("assigned_secret", "password=", _password, ""),
    ("assigned_secret", "DB_PASSWORD=", _made("{a:14}"), ""),
    ("assigned_secret", '"password": "', _password, '"'),
    ("assigned_secret", "passwd: ", _made("{a:12}"), ""),
    ("assigned_secret", "secret = '", _made("{a:24}"), "'"),
    ("assigned_secret", "client_secret: ", _made("{u:32}"), ""),
    ("assigned_secret", 'api_key = "', _made("{h:32}"), '"'),
    ("assigned_secret", "apiKey: '", _made("{a:32}"), "',"),
    ("assigned_secret", "X-Api-Key: ", _made("{a:40}"), ""),
    ("assigned_secret", "access_token=", _made("{u:48}"), "&scope=read"),
    ("assigned_secret", "token: ", _made("{h:40}"), ""),
    ("assigned_secret", "<password>", _password, "</password>"),
    ("assigned_secret", "Server=db;User Id=app;Password=", _made("{a:12}"), ";Database=app"),
    ("assigned_secret", '{\\"password\\": \\"', _password, '\\"}'),
    ("assigned_secret", "mysql --password=", _password, " app"),
    ("assigned_secret", "deploy --token ", _made("{a:30}"), " now"),
    ("assigned_secret", "curl -u admin:", _password, " https://acme.io"),
    ("assigned_secret", "the password is ", _password, ""),
)
"""Secrets that need context: what is before and after them is no part of the secret."""


def planted(chance: Chance) -> list[Planted]:
    """Return a secret of each format."""
    alone = [Planted(kind, make(chance)) for kind, make in TOKENS]
    return alone + [Planted(kind, make(chance), before, after) for kind, before, make, after in IN_CONTEXT]


PLACES: Final = {
    "alone": "{}",
    "prose": "Please use {} for the deployment, and tell the others.",
    "sentence end": "The new one is: {}.",
    "start": "{} was sent to me yesterday by the operations team.",
    "end": "Yesterday the operations team sent me {}",
    "python": 'client = Client("{}")\nclient.connect()\n',
    "JSON": '{{"id": 7, "value": "{}", "ok": true}}',
    "YAML": "settings:\n  value: {}\n  other: 1\n",
    "env": "export VALUE={}\nDEBUG=1\n",
    "quoted env": 'VALUE="{}"\n',
    "query": "GET /v1/items?value={}&page=2 HTTP/1.1",
    "log": "2026-12-01T03:00:00Z INFO worker[12]: sent value={} status=200 in 12ms",
    "inline code": "Set it to `{}` and restart.",
    "fence": "```\n{}\n```",
    "bold": "The value is **{}**.",
    "italic": "The value is _{}_.",
    "table": "| name | value |\n|---|---|\n| a | {} |\n",
    "CJK": "密钥是{}。请不要分享",
    "Japanese": "「{}」を使ってください",
    "Cyrillic": "Ключ«{}», пожалуйста",
    "parentheses": "the value ({}), as agreed",
    "angles": "<{}>",
    "list": "a,{},b",
    "escaped line": 'log("first\\n{}\\nlast")',
    "tabs": "value\t{}\tend",
}
"""Texts around a secret."""
