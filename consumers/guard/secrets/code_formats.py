"""SecretFormats of code hosts', package registries' and developer tools' credentials."""

from __future__ import annotations

from typing import Final

from consumers.guard.secrets.secret_format import fixed_token, token
from consumers.guard.secrets.strength import github_checksum, has_digit

_GITHUB: Final = "GitHub Docs, About authentication to GitHub: token formats; GitHub Changelog, 2026-04-24"
_GITLAB: Final = "GitLab Docs, Token overview: token prefixes"
_ATLASSIAN: Final = "Atlassian Support, Manage API tokens; Bitbucket, App passwords"

CODE_FORMATS: Final = (
    token("github_token", "gh[pousr]_[A-Za-z0-9]{36,}", _GITHUB, github_checksum),
    token("github_token", r"ghs_[A-Za-z0-9]+_eyJ[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+){2}", _GITHUB),
    token("github_token", "github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59,}", _GITHUB),
    token(
        "gitlab_token",
        r"gl(?:pat|dt|rt|rtr|cbt|ptt|ft|imt|agent|soat|ffct|wt)-[A-Za-z0-9_-]{20,}(?:\.[A-Za-z0-9_-]{2,}){0,3}",
        _GITLAB,
    ),
    token("gitlab_token", "gloas-[0-9a-f]{64}", _GITLAB),
    token("npm_token", "npm_[A-Za-z0-9]{36,}", "npm Docs, About access tokens", github_checksum),
    token("pypi_token", "pypi-AgE[A-Za-z0-9_-]{50,}", "PyPI Help, API tokens: macaroons in base64"),
    token("rubygems_token", "rubygems_[0-9a-f]{48}", "RubyGems Guides, API key scopes"),
    token("crates_token", "cio[A-Za-z0-9]{32,}", "Cargo Book, Registry authentication", has_digit),
    token("clojars_token", "CLOJARS_[0-9a-f]{60}", "Clojars Wiki, Deploy tokens"),
    token("docker_token", "dckr_(?:pat|oat)_[A-Za-z0-9_-]{27,}", "Docker Docs, Personal access tokens"),
    token("artifactory_token", "(?:AKC[A-Za-z0-9]{60,}|cmVmdGtu[A-Za-z0-9]{50,})", "JFrog Help Center, API keys"),
    token("atlassian_token", "AT(?:ATT|CTT|STT)3[A-Za-z0-9_=-]{60,}", _ATLASSIAN),
    token("bitbucket_token", "ATBB[A-Za-z0-9]{28,}", _ATLASSIAN, has_digit),
    token("linear_key", "lin_(?:api|oauth)_[A-Za-z0-9]{32,}", "Linear Developers, Authentication"),
    token(
        "notion_key", "(?:ntn_[A-Za-z0-9]{40,}|secret_[A-Za-z0-9]{43})", "Notion Developers, Authorization", has_digit
    ),
    token("postman_key", "PMAK-[0-9a-f]{24}-[0-9a-f]{34}", "Postman Docs, Generate and use API keys"),
    token("sentry_token", "sntry[su]_[A-Za-z0-9+/=_-]{40,}", "Sentry Docs, Auth tokens"),
    token("sourcegraph_token", "sg[pd]_(?:[0-9a-f]{16}_|local_)?[0-9a-f]{40,}", "Sourcegraph Docs, Token formats"),
    token("grafana_token", r"glsa_[A-Za-z0-9]{32}_[0-9A-Fa-f]{8}", "Grafana Docs, Service accounts"),
    token("grafana_token", r"glc_eyJ[A-Za-z0-9+/=]{32,}", "Grafana Cloud Docs, Access policies"),
    token("newrelic_key", "NR(?:AK|RA|II|JS|BR)-[A-Za-z0-9]{19,}", "New Relic Docs, API keys", has_digit),
    token("dynatrace_token", r"dt0[a-z][0-9]{2}\.[A-Z0-9]{8,24}\.[A-Z0-9]{64}", "Dynatrace Docs, Token format"),
    token("circleci_token", "CCI(?:PAT|PRJ)_[A-Za-z0-9]+_[0-9a-f]{40}", "CircleCI Docs, Managing API tokens"),
    token("figma_token", "fig[dou][rh]?_[A-Za-z0-9_-]{38,}", "Figma Developer Docs, Authentication"),
    token("airtable_token", r"pat[A-Za-z0-9]{14}\.[0-9a-f]{64}", "Airtable Support, Personal access tokens"),
    token("onepassword_token", "ops_eyJ[A-Za-z0-9+/_=-]{200,}", "1Password Developer, Service accounts"),
    fixed_token(
        "onepassword_secret_key",
        "A3-[A-Z0-9]{6}-[A-Z0-9]{6}-[A-Z0-9]{5}-[A-Z0-9]{5}-[A-Z0-9]{5}-[A-Z0-9]{5}",
        "1Password Support, About your Secret Key",
    ),
    token("buildkite_token", "bk(?:ua|ca)t?_[0-9a-f]{40}", "Buildkite Docs, Managing API access tokens"),
    token("readme_key", "rdme_[a-z0-9]{70}", "ReadMe Docs, Authentication"),
    token("prefect_key", "pnu_[A-Za-z0-9]{36}", "Prefect Docs, Manage API keys"),
)
