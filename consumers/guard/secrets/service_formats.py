"""SecretFormats of payment, message and model services' credentials."""

from __future__ import annotations

from typing import Final

from consumers.guard.secrets.secret_format import END, START, SecretFormat, fixed_token, token
from consumers.guard.secrets.strength import has_digit, is_discord

_SLACK: Final = "Slack API, Token types; Sending messages using incoming webhooks"
_STRIPE: Final = "Stripe Docs, API keys; Check webhook signatures"
_TWILIO: Final = "Twilio Docs, What is a String Identifier (SID)?; API keys"
_MAILGUN: Final = "Mailgun Documentation, Authentication"
_DISCORD: Final = "Discord Developer Docs, Reference: authentication; Webhook resource"
_SHOPIFY: Final = "Shopify Dev Docs, Changelog: new format of API credentials"
_SQUARE: Final = "Square Developer, Access tokens and other Square credentials"
_FACEBOOK: Final = "Meta for Developers, Access token guide"

_BEFORE: Final = r"(?:\A|[^A-Za-z0-9+/\\]|\\[nrt])"
_AFTER: Final = r"(?:[^A-Za-z0-9+/=]|\z)"
"""The surroundings of a token of plain letters: it is no part of an encoded image."""

SERVICE_FORMATS: Final = (
    token("slack_token", "xox[abeoprs]-[A-Za-z0-9-]{10,}", _SLACK, has_digit),
    token("slack_token", r"xoxe\.xox[bp]-[0-9]-[A-Za-z0-9-]{20,}", _SLACK),
    token("slack_token", "xapp-[0-9]-[A-Z0-9]+-[0-9]+-[A-Za-z0-9]{20,}", _SLACK),
    SecretFormat(
        "slack_webhook",
        r"hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/([A-Za-z0-9]+/[A-Za-z0-9]+/[A-Za-z0-9/]{16,})",
        _SLACK,
        has_digit,
    ),
    token("stripe_key", "[rs]k_(?:live|test|prod)_[A-Za-z0-9]{10,}", _STRIPE, has_digit),
    token("stripe_webhook_secret", "whsec_[A-Za-z0-9+/=]{24,}", _STRIPE, has_digit),
    token(
        "openai_key",
        "sk-(?:proj|svcacct|admin|service|None)-[A-Za-z0-9_-]{20,}",
        "OpenAI API Reference, Authentication",
    ),
    token("openai_key", "sk-[A-Za-z0-9]{20,}", "OpenAI API Reference, Authentication", has_digit),
    token("openrouter_key", "sk-or-(?:v[0-9]-)?[A-Za-z0-9]{32,}", "OpenRouter Docs, Authentication"),
    token("anthropic_key", "sk-ant-[A-Za-z0-9]{2,}-[A-Za-z0-9_-]{20,}", "Anthropic, Claude API: Authentication"),
    fixed_token(
        "huggingface_token", "(?:hf_[A-Za-z0-9]{32,39}|api_org_[A-Za-z0-9]{34})", "Hugging Face Hub, User access tokens"
    ),
    token("groq_key", "gsk_[A-Za-z0-9]{40,}", "Groq Docs, API keys"),
    token("xai_key", "xai-[A-Za-z0-9]{60,}", "xAI Docs, API keys"),
    token("perplexity_key", "pplx-[A-Za-z0-9]{40,}", "Perplexity Docs, API keys"),
    token("replicate_token", "r8_[A-Za-z0-9]{37,}", "Replicate Docs, API tokens"),
    token("nvidia_key", "nvapi-[A-Za-z0-9_-]{40,}", "NVIDIA NIM, API keys"),
    token("pinecone_key", "pcsk_[A-Za-z0-9]+_[A-Za-z0-9]{40,}", "Pinecone Docs, API keys"),
    token("langsmith_key", "lsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}", "LangSmith Docs, API keys"),
    token("sendgrid_key", r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,}", "Twilio SendGrid Docs, API keys"),
    fixed_token("twilio_key", "SK[0-9a-f]{32}", _TWILIO),
    fixed_token("twilio_account_sid", "AC[0-9a-f]{32}", _TWILIO),
    fixed_token("mailgun_key", "(?:key|pubkey)-[0-9a-f]{32}", _MAILGUN),
    fixed_token("mailgun_key", "[0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8}", _MAILGUN),
    SecretFormat(
        "mailchimp_key",
        START + f"([0-9a-f]{{32}}-us[0-9]{{1,2}}){END}",
        "Mailchimp Developer, Marketing API fundamentals",
    ),
    token("brevo_key", "xkeysib-[0-9a-f]{64}-[A-Za-z0-9]{16}", "Brevo Developers, Authentication schemes"),
    SecretFormat(
        "telegram_bot_token",
        START + "(?:bot)?([0-9]{8,10}:[A-Za-z0-9_-]{35})(?:[^A-Za-z0-9-]|\\z)",
        "Telegram Bot API, Authorizing your bot",
        has_digit,
    ),
    token("discord_token", r"[MNO][A-Za-z0-9_-]{22,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,}", _DISCORD, is_discord),
    token("discord_token", r"mfa\.[A-Za-z0-9_-]{80,}", _DISCORD),
    SecretFormat(
        "discord_webhook", r"discord(?:app)?\.com/api/(?:v[0-9]+/)?webhooks/[0-9]{17,20}/([\w-]{60,})", _DISCORD
    ),
    fixed_token("shopify_token", "shp(?:at|ca|pa|ss|ua|tka)_[0-9a-fA-F]{32}", _SHOPIFY),
    token("square_token", "sq0(?:atp|csp)-[A-Za-z0-9_-]{22,}", _SQUARE),
    SecretFormat("square_token", f"{_BEFORE}(EAAA[A-Za-z0-9_-]{{60}}){_AFTER}", _SQUARE, has_digit),
    SecretFormat("facebook_token", f"{_BEFORE}(EAA[A-Z][A-Za-z0-9]{{80,}}){_AFTER}", _FACEBOOK, has_digit),
    token(
        "braintree_token", r"access_token\$(?:production|sandbox)\$[0-9a-z]{16}\$[0-9a-f]{32}", "PayPal Braintree Docs"
    ),
    token("razorpay_key", "rzp_(?:live|test)_[A-Za-z0-9]{14,}", "Razorpay Docs, API keys", has_digit),
    token("flutterwave_key", "FLWSECK(?:_TEST)?-[A-Za-z0-9-]{12,}", "Flutterwave Docs, Authentication", has_digit),
    token("shippo_token", "shippo_(?:live|test)_[0-9a-f]{40}", "Shippo Docs, Authentication"),
    token("easypost_key", "EZ[AT]K[A-Za-z0-9]{54}", "EasyPost Docs, API keys", has_digit),
    token("typeform_token", "tfp_[A-Za-z0-9_-]{40,}", "Typeform Developers, Personal access token", has_digit),
    token("mapbox_token", r"sk\.eyJ[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}", "Mapbox Docs, Access tokens"),
    token("adobe_secret", "p8e-[A-Za-z0-9_-]{32,}", "Adobe Developer, Credentials", has_digit),
)
