"""The reference page of all settings: `make docs` writes it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from inspect import getsource
from itertools import pairwise
from typing import Any

from ops.setting_values import as_text, form_of, names_of
from ops.settings import Settings

_HEAD = """# Settings

Every command and every stage reads these environment variables. `make docs` writes this page from `ops/settings.py`. A
variable that is set and empty counts as not set. `headrace config` prints the value of each setting and its origin; it
masks secrets. A variable that begins with `HEADRACE_` and is not listed here is ignored with a warning.

`headrace dev`, `headrace demo` and `headrace chaos` run servers of their own. They ignore `HEADRACE_KAFKA_*`,
`HEADRACE_VALKEY_URL`, `HEADRACE_SEAL_SECRET` and `HEADRACE_REPLICATION_FACTOR`, and say so. With `--use-cluster`, `dev`
and `demo` join the cluster that these variables name, and create or change no tenant and no topic there.

| variable | value | default | meaning |
|---|---|---|---|"""

_TAIL = """
These variables of other programs count too:

| variable | meaning |
|---|---|
| `XDG_CACHE_HOME` | Folder for files that can be fetched again, such as Kafka's jars. |
| `XDG_STATE_HOME` | Folder of the file by which commands find a running `headrace dev`. |
| `M2_REPO` | Local Maven repository, which may have the jars already. |
| `OTEL_EXPORTER_OTLP_*` | Headers, certificates and compression for the spans' collector (see OpenTelemetry). |
"""


def page() -> str:
    """Return the page as Markdown."""
    return "\n".join((_HEAD, *_rows(), _TAIL))


def _rows() -> Iterator[str]:
    meanings = _meanings()
    for field, info in Settings.model_fields.items():
        name, *others = names_of(field)
        also = "".join(f" `{other}` counts if this one is not set." for other in others)
        meaning = " ".join(meanings[field].split())
        default = _code(info.get_default(call_default_factory=True))
        yield f"| `{name}` | {form_of(field)} | {default} | {meaning}{also} |"


def _meanings() -> dict[str, str]:
    """Return the docstring of each field, read from the source: pydantic would read it at each start of a command."""
    (body,) = [node.body for node in ast.parse(getsource(Settings)).body if isinstance(node, ast.ClassDef)]
    return {
        field.target.id: said.value.value
        for field, said in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(said, ast.Expr) and isinstance(said.value, ast.Constant) and isinstance(said.value.value, str)
    }


def _code(default: Any) -> str:  # noqa: ANN401 - of any setting
    text = as_text(default)
    return text if default is None else f"`{text}`" if text else "empty"
