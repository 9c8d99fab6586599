"""The settings on the command line."""

from __future__ import annotations

import json

import pytest

from ops.cli.app import execute
from ops.settings import Settings, setting_variables


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in setting_variables():
        monkeypatch.delenv(name)


def test_config_prints_each_value_and_its_origin(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One object a line, with a null for what is not set."""
    monkeypatch.setenv("HEADRACE_HTTP_PORT", "9100")
    monkeypatch.setenv("HEADRACE_SEAL_SECRET", "k1:geheim")

    assert execute(["config", "--json", "--agents", "mine"]) == 0

    said = capsys.readouterr()
    found = {line["name"]: line for line in map(json.loads, said.out.splitlines())}
    assert len(found) == len(Settings.model_fields)
    assert found["HEADRACE_HTTP_PORT"] == {"name": "HEADRACE_HTTP_PORT", "value": 9100, "origin": "HEADRACE_HTTP_PORT"}
    assert found["HEADRACE_AGENTS"] == {"name": "HEADRACE_AGENTS", "value": "mine", "origin": "--agents"}
    assert found["HEADRACE_VALKEY_URL"] == {"name": "HEADRACE_VALKEY_URL", "value": None, "origin": "default"}
    assert "geheim" not in said.out
    assert said.err == ""


def test_config_prints_lines_for_people_and_pipes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three columns; a misspelled name is a line on standard error."""
    monkeypatch.setenv("HEADRACE_GRACE", "7")
    monkeypatch.setenv("HEADRACE_GRACES", "8")

    assert execute(["config"]) == 0

    said = capsys.readouterr()
    assert "HEADRACE_GRACE\t7\tHEADRACE_GRACE" in said.out.splitlines()
    assert "HEADRACE_DRAIN\t10\tdefault" in said.out.splitlines()
    assert said.err.startswith("headrace: HEADRACE_GRACES is no setting and is ignored: HEADRACE_GRACE is the nearest")


def test_a_wrong_setting_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """And exit code 2."""
    monkeypatch.setenv("HEADRACE_KAFKA_BOOTSTRAP", "localhost:abc")

    assert execute(["config"]) == 2

    assert capsys.readouterr().err == (
        "headrace: HEADRACE_KAFKA_BOOTSTRAP is `localhost:abc`: `abc` is no port from 1 to 65535: write HOST:PORT,"
        " comma-separated\n"
    )
