"""A platform from its first line to its last process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from ops.cli.stack import folder_of
from ops.dev.stages import DISCOVERY
from ops.embedded.ports import free
from tests.journey.platform import (
    CLI,
    START_S,
    Platform,
    clean_environment,
    get,
    platform,
    running,
    runs,
    scripted,
    targets,
    until,
)

pytestmark = pytest.mark.timeout(240)

MINE = """from headrace import Agent

async def say(text):
    return text

greeter = Agent.from_callable(say, name='greeter')
"""


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


def _records(own: Platform) -> str:
    """Every tenant's record, and every topic that is missing."""
    return own.cli("tenants", "list", "--json").stdout + own.cli("topics", "plan", "--json").stdout


def test_a_broker_of_somebody_elses_is_used_and_left_running(tmp_path_factory: pytest.TempPathFactory) -> None:
    """--use-cluster: a second dev is more workers, no second broker, and changes no tenant, also when agents change."""
    with platform("split", _folder(tmp_path_factory)) as own:
        folder, before = _folder(tmp_path_factory), _records(own)
        (folder / "mine.py").write_text(MINE)
        command = [*CLI, "dev", "--use-cluster", "--agents", "mine", "--json"]
        with running(command, folder, own.env) as second:
            ready = json.loads(second.line(START_S))

            assert (ready["kafka"], ready["journey"]) == (own.bootstrap, "split")
            assert set(ready["pids"]) == {"auth", "guard", "agent", "retries"}
            (folder / "mine.py").write_text(MINE.replace("greeter", "welcomer"))
            assert until(lambda: "loading them anew" in second.errors.read_text()), second.errors.read_text()
            assert _records(own) == before
            assert second.stop() == 0

        assert _records(own) == before
        done = own.cli("submit", "--tenant", "acme", "--agent", "echo", "--wait", "x")
        assert (done.returncode, done.stdout) == (0, "x\n"), done.stderr


def test_dev_and_demo_ignore_a_cluster_that_is_exported(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whoever has production's address in the shell does not rewrite its tenants, and its secrets reach no stage."""
    with platform("compact", _folder(tmp_path_factory)) as own:
        assert own.cli("tenants", "add", "initech").returncode == 0
        folder, before = _folder(tmp_path_factory), _records(own)
        exported = {
            **own.env,
            "HEADRACE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "HEADRACE_KAFKA_PASSWORD": "geheim",
            "HEADRACE_KAFKA_CA_FILE": "/nowhere",
            "HEADRACE_SEAL_SECRET": "k1:geheim",
        }
        with running([*CLI, "dev", "--json"], folder, exported) as second:
            ready = json.loads(second.line(START_S))

            assert ready["kafka"] != own.bootstrap
            assert ready["valkey"] != own.valkey
            assert set(ready["pids"]) == {"kafka", "valkey", "ingress", "agent", "retries"}
            for stage in ("ingress", "agent", "retries"):
                environment = Path(f"/proc/{ready['pids'][stage]}/environ").read_bytes()
                assert b"geheim" not in environment
                assert b"HEADRACE_KAFKA_" not in environment
            assert second.stop() == 0
            said = second.errors.read_text()
        with running([*CLI, "demo", "--json"], _folder(tmp_path_factory), exported) as demo:
            assert demo.process.wait(START_S) == 0, demo.errors.read_text()
            said += demo.errors.read_text()

        names = sorted(name for name in exported if name.startswith("HEADRACE_KAFKA_"))
        listed = ", ".join([*names, "HEADRACE_SEAL_SECRET", "HEADRACE_VALKEY_URL"])
        assert said.count(f"ignored, since this command runs servers of its own: {listed}") == 2, said
        assert "geheim" not in said
        assert _records(own) == before


def test_use_cluster_needs_a_cluster(tmp_path: Path) -> None:
    """One line, and nothing is started."""
    with running([*CLI, "dev", "--use-cluster", "--json"], tmp_path, clean_environment()) as dev:
        assert dev.process.wait(30) == 2
        assert "HEADRACE_KAFKA_BOOTSTRAP is not set" in dev.errors.read_text()


def test_prometheus_finds_every_worker_at_one_address(tmp_path_factory: pytest.TempPathFactory) -> None:
    """At the configured port; a worker that was killed is there again, with its new port."""
    port = free()
    with platform(
        "split", _folder(tmp_path_factory), HEADRACE_HTTP_PORT=str(port), HEADRACE_HTTP_HOST="0.0.0.0"
    ) as own:
        assert own.ready["http_sd"] == f"http://127.0.0.1:{port}{DISCOVERY}"
        found = targets(own)
        assert found.keys() == {"auth", "guard", "agent", "retries"}
        for stage, target in found.items():
            assert target.startswith("127.0.0.1:")
            assert f'stage="{stage}"' in get(target, "/metrics")[1]

        os.kill(own.pids["agent"], signal.SIGKILL)

        assert until(lambda: targets(own).get("agent", found["agent"]) != found["agent"], 60), targets(own)
        assert get(targets(own)["agent"], "/metrics")[0] == 200
        page = get(own.http, "/")[1]
        assert own.valkey.partition(":")[2].partition("@")[0] not in page


def test_what_dev_keeps_is_private(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Records, passwords and logs of all tenants; the folder may be from an older version."""
    folder = _folder(tmp_path_factory)
    data = folder / "data"
    (data / "kafka").mkdir(parents=True, mode=0o755)
    (data / "kafka" / "owner").touch()
    data.chmod(0o755)
    with platform("compact", folder, "--data", str(data)) as own:
        modes = {path.name: path.stat().st_mode & 0o777 for path in data.iterdir()}
        assert own.dev.stop() == 0

    assert data.stat().st_mode & 0o777 == 0o700
    assert {name: oct(mode) for name, mode in modes.items() if name.endswith(".log")} == {
        f"{stage}.log": "0o600" for stage in ("ingress", "agent", "retries")
    }
    assert {modes[name] for name in ("kafka", "valkey")} == {0o700}
    assert {(data / each).stat().st_mode & 0o777 for each in ("kafka/kafka.log", "valkey/valkey.log")} == {0o600}


def test_the_mode_of_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    """Such as a home folder: only what dev puts there is private."""
    (tmp_path / "letters.txt").touch()
    tmp_path.chmod(0o755)

    with folder_of(tmp_path) as folder:
        assert folder == tmp_path

    assert tmp_path.stat().st_mode & 0o777 == 0o755


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

        module.write_text("this is no python")
        assert until(lambda: "the agents stay as they were" in own.dev.errors.read_text())
        assert f"{module}:1: SyntaxError" in own.dev.errors.read_text()
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


CHOOSER = """from headrace import ToolSpec, agent

WEATHER = ToolSpec('get_weather', '', {'type': 'object', 'required': ['city'],
    'properties': {'city': {'type': 'string'}}})

@agent('chooser', instructions='Choose.')
async def chooser(text, run):
    response = await run.ask(text, tools=[WEATHER])
    return [[call.name, call.arguments] for call in response.tool_calls] or response.text
"""
RULE = (
    "otherwise = 'tools'\n[[rules]]\nmatch = {{ system_contains = 'choose', step = 0, user_contains = 'rule' }}\n{}\n"
)


def test_a_scripted_model_answers_by_its_file_and_follows_it(tmp_path: Path) -> None:
    """A configured model is not asked; a faulty edit is told and changes nothing."""
    file = tmp_path / "scenario.toml"
    file.write_text(RULE.format("answer = { text = 'one {user}' }"))
    (tmp_path / "mine.py").write_text(CHOOSER)
    with platform("compact", tmp_path, "--agents", "mine", "--scripted", "scenario.toml") as own:

        def said(text: str) -> str:
            return own.cli("submit", "--tenant", "acme", "--agent", "chooser", "--wait", text).stdout.strip()

        answers = [said("rule"), said("no file of yours: get_weather Oslo")]
        file.write_text("[[rules]\n")
        assert until(lambda: "the scenario stays as it was" in own.dev.errors.read_text())
        answers.append(said("rule"))
        file.write_text(RULE.format("answer = { text = 'two' }"))
        assert until(lambda: said("rule") == "two")
        notices, configured = own.dev.errors.read_text(), own.model.calls()["number"]

    assert answers == ["one rule", '[["get_weather","{\\"city\\": \\"Oslo\\"}"]]', "one rule"]
    assert "no real model: a scripted one answers by scenario.toml" in notices
    assert "(at line 1, column 8)" in notices
    assert configured == 0


@pytest.mark.parametrize("command", ["dev", "demo"])
def test_a_faulty_scenario_is_refused_before_anything_starts(tmp_path: Path, command: str) -> None:
    """One line with the place; exit status 2."""
    (tmp_path / "a.json").write_text('{"rules": [{"answer": {"txt": "x"}}]}')
    with running([*CLI, command, "--json", "--scripted", "a.json"], tmp_path, clean_environment()) as started:
        assert started.process.wait(30) == 2
        said = started.errors.read_text()

    assert said == "headrace: the scenario a.json: rules[0].answer.txt: Extra inputs are not permitted\n"


def test_a_scenario_without_the_option_is_refused(tmp_path: Path) -> None:
    """Its answers would be mistaken for a real model's, or the other way round."""
    with running([*CLI, "dev", "a.toml"], tmp_path, clean_environment()) as started:
        assert started.process.wait(30) == 2
        assert "write --scripted a.toml" in started.errors.read_text()


@pytest.mark.parametrize("command", [("dev", "--json"), ("demo",), ("run", "agent"), ("run", "agent", "--count", "2")])
def test_a_module_that_cannot_be_used_is_one_line_before_anything_starts(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    """No Kafka is fetched or asked first: its address leads nowhere, and is not mentioned."""
    (tmp_path / "mine.py").write_text("from headrace import Agent\n\necho = Agent('echo')\n")
    environment = clean_environment(XDG_CACHE_HOME=str(tmp_path / "cache"))
    if command[0] == "run":
        environment["HEADRACE_KAFKA_BOOTSTRAP"] = "127.0.0.1:1"
    with running([*CLI, *command, "--agents", "mine"], tmp_path, environment) as process:
        assert process.process.wait(60) == 2
        said = process.errors.read_text()

    place = f"{tmp_path}/mine.py:3"
    assert said == f"headrace: {place}: 'echo' is the name of an agent that every worker has; rename yours\n"
    assert not (tmp_path / "cache").exists()


def test_demo_shows_what_it_should(tmp_path: Path) -> None:
    """Requests of two tenants, a refusal and a handoff among them; exit status 0; nothing is left."""
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
        ("acme", "helpdesk", "succeeded"),
    ]
    assert (results[-1]["handoffs"], results[-1]["usage"]["tool_calls"]) == (["refunds"], 1)


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


def test_commands_find_the_platform_of_another_terminal(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Without an export: by the state file. The environment wins, and a killed platform is told of."""
    with platform("compact", _folder(tmp_path_factory)) as own:
        alone = {name: value for name, value in own.env.items() if not name.startswith("HEADRACE_KAFKA")}

        def ask(*arguments: str, **more: str) -> tuple[int, str, str]:
            environment = {**alone, **more}
            done = subprocess.run(
                [*CLI, *arguments],
                cwd=own.folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            return done.returncode, done.stdout, done.stderr

        submit = ("submit", "--tenant", "acme", "--agent", "echo", "--wait", "hello")
        assert ask(*submit) == (0, "hello\n", "")
        assert ask("results", "--tenant", "acme")[1].endswith("hello\n")
        assert '"globex"' in ask("tenants", "list", "--json")[1]
        assert ask("cancel", "--tenant", "acme", "--request", "no-such")[0] == 0
        nowhere = f"127.0.0.1:{free()}"
        status, _, said = ask(*submit, HEADRACE_KAFKA_BOOTSTRAP=nowhere)
        assert (status, nowhere in said) == (1, True)

        own.dev.process.kill()
        assert own.dev.process.wait(30)
        status, _, said = ask(*submit)
        assert status == 2
        assert "start `headrace dev`" in said
        assert "names a platform that has ended" in said


def test_without_a_broker_the_next_step_is_named(tmp_path: Path) -> None:
    """Nobody guesses the name of an environment variable."""
    with running([*CLI, "tenants", "list"], tmp_path, clean_environment()) as command:
        assert command.process.wait(30) == 2
        assert "HEADRACE_KAFKA_BOOTSTRAP is not set: start `headrace dev`" in command.errors.read_text()
