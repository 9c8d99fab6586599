"""SecretFormats of cloud and infrastructure providers' credentials. Each has the publication that describes it."""

from __future__ import annotations

from typing import Final

from consumers.guard.secrets.secret_format import END, START, SecretFormat, fixed_token, token
from consumers.guard.secrets.strength import has_digit, is_random

_UUID: Final = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
_ASSIGNED: Final = r"""[\w.-]*\\?["']?\s{0,4}(?:=>|:=|=|:|\s)\s{0,4}\\?["']?"""

_AWS_IDS: Final = "AWS IAM User Guide, IAM identifiers: unique identifiers"
_AWS_KEYS: Final = "AWS IAM User Guide, Manage access keys for IAM users"
_GOOGLE: Final = "Google Cloud, API keys overview; Google Identity, OAuth 2.0 for web server applications"
_CLOUDFLARE: Final = "Cloudflare Fundamentals, API: Token formats"
_HASHICORP: Final = "HashiCorp Vault, Tokens: token prefixes; HCP Terraform, API tokens"

CLOUD_FORMATS: Final = (
    fixed_token("aws_access_key_id", "(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}", _AWS_IDS),
    SecretFormat(
        "aws_secret_access_key",
        r"(?:AKIA|ASIA)[A-Z0-9]{16}[^A-Z0-9](?:[^A-Za-z0-9/+]|[A-Za-z0-9_]{1,24}[^A-Za-z0-9/+_]){0,24}?"
        r"([A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+]|\z)",
        _AWS_KEYS,
        has_digit,
    ),
    SecretFormat(
        "aws_secret_access_key",
        r"(?i:(?:aws|secret)(?:[_ .-]?(?:secret|access|account|id|private|api)){0,3}[_ .-]?key)"
        + _ASSIGNED
        + r"([A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+]|\z)",
        _AWS_KEYS,
        has_digit,
    ),
    token("aws_bedrock_key", r"ABSK[A-Za-z0-9+/]{100,}={0,2}", "Amazon Bedrock User Guide, API keys"),
    token("google_api_key", r"AIza[0-9A-Za-z_-]{35,}", _GOOGLE),
    token("google_oauth_secret", r"GOCSPX-[0-9A-Za-z_-]{28,}", _GOOGLE),
    token("google_oauth_token", r"ya29\.[0-9A-Za-z_-]{20,}(?:\.[0-9A-Za-z_-]+)*", _GOOGLE),
    token("google_refresh_token", r"1//0[0-9A-Za-z_-]{40,}", _GOOGLE),
    SecretFormat(
        "azure_storage_key",
        r"(?i:AccountKey)=([A-Za-z0-9+/]{86}==)",
        "Microsoft Learn, Configure Azure Storage connection strings",
    ),
    SecretFormat(
        "azure_shared_access_key",
        r"(?i:SharedAccessKey)=([A-Za-z0-9+/]{42,86}=)",
        "Microsoft Learn, Event Hubs and Service Bus: connection strings",
    ),
    SecretFormat(
        "azure_sas_signature",
        r"[?&;]sig=([A-Za-z0-9%+/]{40,}(?:%3[Dd]|=)?)",
        "Microsoft Learn, Grant limited access with shared access signatures",
    ),
    token("azure_client_secret", r"[A-Za-z0-9_~.]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,}", "Microsoft Entra, client secrets"),
    fixed_token("digitalocean_token", "do[por]_v1_[0-9a-f]{64}", "DigitalOcean API Reference, Authentication"),
    token("cloudflare_token", "cf(?:k|ut|at)_[A-Za-z0-9]{40,}", _CLOUDFLARE),
    fixed_token("cloudflare_origin_key", "v1[.]0-[0-9a-f]{24}-[0-9a-f]{146}", _CLOUDFLARE),
    SecretFormat(
        "cloudflare_key",
        r"(?i:cloudflare|\bcf|_cf|x-auth)" + _ASSIGNED + "([A-Za-z0-9_-]{37,40})(?:[^A-Za-z0-9_-]|\\z)",
        _CLOUDFLARE,
        has_digit,
    ),
    token("heroku_key", r"HRKU-[A-Za-z0-9_-]{36,}", "Heroku Dev Center, Platform API Reference: Authentication"),
    SecretFormat(
        "heroku_key",
        "(?i:heroku)" + _ASSIGNED + f"({_UUID}){END}",
        "Heroku Dev Center, Platform API Reference: Authentication",
    ),
    token("vault_token", r"hv[sbr]\.[A-Za-z0-9_-]{20,}", _HASHICORP),
    SecretFormat("terraform_token", START + r"([A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_-]{60,})", _HASHICORP),
    token("doppler_token", r"dp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9_.-]{38,}", "Doppler Docs, Auth token formats"),
    token("databricks_token", r"dapi[0-9a-f]{32}(?:-[0-9])?", "Databricks, Personal access token authentication"),
    fixed_token("age_secret_key", "AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}", "C2SP, age file encryption: X25519 identity"),
    token("fly_token", r"(?:fo1_[\w-]{40,}|fm[12][ar]?_[A-Za-z0-9+/]{80,}={0,3})", "Fly.io Docs, Access tokens"),
    token("planetscale_token", r"pscale_(?:tkn|oauth|pw)_[\w=.-]{32,}", "PlanetScale Docs, Service tokens"),
    token("pulumi_token", "pul-[0-9a-f]{40}", "Pulumi Docs, Access tokens"),
    token("supabase_key", "(?:sbp_[0-9a-f]{40}|sb_secret_[A-Za-z0-9_-]{30,})", "Supabase Docs, API keys"),
    token("tailscale_key", "tskey-[a-z]+-[A-Za-z0-9]+-[A-Za-z0-9]{20,}", "Tailscale Docs, Key prefixes"),
    token("alibaba_access_key_id", "LTAI[A-Za-z0-9]{12,}", "Alibaba Cloud, AccessKey pair", has_digit),
    token("netlify_token", "nf[pcob]_[A-Za-z0-9]{36,}", "Netlify Docs, API: Authentication", is_random),
)
