"""A platform from its first line to its last process."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.journey.platform import CLI, START_S, clean_environment, platform, running, runs, scripted, until

pytestmark = pytest.mark.timeout(240)


def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dev")


@contextmanager
def held_open(address: str) -> Generator[None]:
    """A connection that is kept, as Prometheus keeps one."""
    connection = HTTPConnection(address.removeprefix("http://"))
    connection.request("GET", "/readyz")
    answer = connection.getresponse()
    assert (answer.status, json.load(answer)) == (200, {"ok": True, "reasons": []})
    yield
    connection.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_dev_drains_and_leaves_nothing(tmp_path_factory: pytest.TempPathFactory, number: signal.Signals) -> None:
    """Exit status 0, one line on standard output, no process, and what runs is finished first."""
    with platform("compact", _folder(tmp_path_factory)) as own:
        sent = own.cli("submit", "--tenant", "acme", "--agent", "echo", "--metadata", "sleep=1", "--json", "x")
        assert sent.returncode == 0, sent.stderr
        with held_open(own.ready["workers"]["agent"]):
            own.dev.process.send_signal(number)

            assert own.dev.process.wait(60) == 0, own.dev.errors.read_text()
        assert own.dev.rest() == []
        assert not [name for name, pid in own.pids.items() if runs(pid)]
        assert not Path(own.ready["logs"]).exists()


def test_nothing_survives_a_dev_that_is_killed(tmp_path_factory: pytest.TempPathFactory) -> None:
    """An orphaned broker would hold its port and its memory for ever."""
    with platform("split", _folder(tmp_path_factory)) as own:
        own.dev.process.kill()

        assert until(lambda: not any(map(runs, own.pids.values())), 30), [
            name for name, pid in own.pids.items() if runs(pid)
        ]


def test_a_server_that_is_killed_comes_back(tmp_path_factory: pytest.TempPathFactory) -> None:
    """At the same address and with its data: clients and stages find it again by themselves."""
    with platform("compact", _folder(tmp_path_factory)) as own:
        for name in ("kafka", "valkey"):
            os.kill(own.pids[name], signal.SIGKILL)

        assert until(lambda: own.dev.errors.read_text().count("ended, starting it again") >= 2)
        ask = ("submit", "--tenant", "acme", "--agent", "echo", "--wait", "--timeout", "60s", "x")

        assert until(lambda: own.cli(*ask, within=90).stdout == "x\n", 90), own.dev.errors.read_text()
        assert own.dev.stop() == 0


def test_a_broker_of_somebody_elses_is_used_and_left_running(tmp_path_factory: pytest.TempPathFactory) -> None:
    """HEADRACE_KAFKA_BOOTSTRAP and HEADRACE_VALKEY_URL: a second dev is more workers, and no second broker."""
    with platform("compact", _folder(tmp_path_factory)) as own:
        folder = _folder(tmp_path_factory)
        with running([*CLI, "dev", "--json"], folder, own.env) as second:
            ready = json.loads(second.line(START_S))

            assert ready["kafka"] == own.bootstrap
            assert set(ready["pids"]) == {"ingress", "agent", "retries"}
            assert second.stop() == 0

        done = own.cli("submit", "--tenant", "acme", "--agent", "echo", "--wait", "x")
        assert (done.returncode, done.stdout) == (0, "x\n"), done.stderr


def test_data_survive_a_restart(tmp_path_factory: pytest.TempPathFactory) -> None:
    """With --data: results, tenants, and the memory of what has been answered."""
    folder = _folder(tmp_path_factory)
    data = folder / "data"
    arguments = ["submit", "--tenant", "acme", "--agent", "echo", "--wait", "--json", "--id", "before", "x"]
    with platform("compact", folder, "--data", str(data)) as own:
        first = own.cli(*arguments)
        assert own.cli("tenants", "add", "initech").returncode == 0
        assert own.dev.stop() == 0

    with platform("compact", folder, "--data", str(data)) as own:
        again = own.cli(*arguments)
        added = own.cli("submit", "--tenant", "initech", "--agent", "echo", "--wait", "hello")

    assert json.loads(again.stdout) == json.loads(first.stdout)
    assert added.stdout == "hello\n"


def test_a_users_agents_are_loaded_and_loaded_again(tmp_path_factory: pytest.TempPathFactory) -> None:
    """An edit is seen without a restart; one that does not work leaves the agents as they were."""
    folder = _folder(tmp_path_factory)
    module = folder / "mine.py"
    text = "from headrace import Agent\n\nasync def say(text):\n    return 'WORD ' + text\n\n"
    text += "greeter = Agent.from_callable(say, name='greeter')\n"
    module.write_text(text.replace("WORD", "hello"))
    ask = ["submit", "--tenant", "globex", "--agent", "greeter", "--wait", "--timeout", "30s", "world"]
    with platform("compact", folder, "--agents", "mine") as own:
        assert own.cli(*ask).stdout == "hello world\n"

        module.write_text("this is not python")
        assert until(lambda: "the agents stay as they were" in own.dev.errors.read_text())
        assert own.cli(*ask).stdout == "hello world\n"

        module.write_text(text.replace("WORD", "goodbye"))
        assert until(lambda: own.cli(*ask).stdout == "goodbye world\n", 60), own.dev.errors.read_text()


def test_a_users_package_with_a_name_of_ours_is_refused_at_start(tmp_path: Path) -> None:
    """One clear line, before anything is started."""
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "order.py").write_text("")
    with running([*CLI, "dev", "--json"], tmp_path, clean_environment()) as dev:
        assert dev.process.wait(30) == 2
        assert "rename yours, or run from another folder" in dev.errors.read_text()
        assert len(dev.errors.read_text().splitlines()) == 1


def test_demo_shows_what_it_should(tmp_path: Path) -> None:
    """Four requests of two tenants, a refusal among them; exit status 0; nothing is left."""
    with scripted(tmp_path / "model") as model:
        environment = clean_environment(HEADRACE_MODEL_BASE_URL=model.base_url, HEADRACE_MODEL_API_KEY="scripted")
        with running([*CLI, "demo", "--json"], tmp_path, environment) as demo:
            assert demo.process.wait(START_S) == 0, demo.errors.read_text()
            results = [json.loads(line) for line in demo.rest()]

    assert all(result["as_expected"] for result in results)
    assert [(each["tenant"], each["agent"], each["status"]) for each in results] == [
        ("acme", "assistant", "succeeded"),
        ("acme", "echo", "succeeded"),
        ("globex", "echo", "succeeded"),
        ("globex", "assistant", "refused"),
    ]


def test_a_demo_that_goes_wrong_says_where_to_look(tmp_path: Path) -> None:
    """Exit status 1, one line, and the logs are still there."""
    with scripted(tmp_path / "model") as model:
        model.script({"status": 401, "times": 100})
        environment = clean_environment(HEADRACE_MODEL_BASE_URL=model.base_url, HEADRACE_MODEL_API_KEY="scripted")
        with running([*CLI, "demo", "--json"], tmp_path, {**environment, "TMPDIR": str(tmp_path)}) as demo:
            assert demo.process.wait(START_S) == 1
            said = demo.errors.read_text().strip()

    assert said.startswith("headrace: 1 of the requests did not end as expected: look into the logs in ")
    assert (Path(said.rpartition(" ")[2]) / "agent.log").exists()


def test_without_a_broker_the_next_step_is_named(tmp_path: Path) -> None:
    """Nobody guesses the name of an environment variable."""
    with running([*CLI, "tenants", "list"], tmp_path, clean_environment()) as command:
        assert command.process.wait(30) == 2
        assert "HEADRACE_KAFKA_BOOTSTRAP is not set: start `headrace dev`" in command.errors.read_text()
