"""What scripts may rely on: exit codes, and one JSON object where one is promised."""

from __future__ import annotations

import json
import os
import signal
import uuid
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from ops.embedded.errors import PortTakenError
from ops.embedded.ports import free, must_be_free
from tests.journey.platform import CLI, START_S, Platform, running, runs, until

pytestmark = pytest.mark.timeout(240)


def _get(address: str, path: str) -> tuple[int, dict[str, Any]]:
    connection = HTTPConnection(address.removeprefix("http://"), timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, json.load(answer)
    finally:
        connection.close()


def test_the_ready_line_names_everything(platform: Platform) -> None:
    """One JSON line, and all that a script needs to go on."""
    stages = {"compact": {"ingress"}, "split": {"auth", "guard"}}[platform.journey] | {"agent", "retries"}

    assert platform.ready["event"] == "ready"
    assert platform.ready["tenants"] == ["acme", "globex"]
    assert platform.bootstrap.startswith("127.0.0.1:")
    assert platform.valkey.startswith("redis://")
    assert set(platform.pids) == stages | {"kafka", "valkey"}
    assert all(runs(pid) for pid in platform.pids.values())


def test_the_pages_answer(platform: Platform) -> None:
    """Alive, ready, and the contract of the wire."""
    assert _get(platform.http, "/livez") == (200, {"status": "alive"})
    assert until(lambda: _get(platform.http, "/readyz")[0] == 200)
    status, document = _get(platform.http, "/asyncapi.json")
    assert (status, document["asyncapi"]) == (200, "3.0.0")


def test_wait_prints_exactly_one_json_object(platform: Platform) -> None:
    """Whatever else there is to say goes to standard error."""
    done = platform.cli("submit", "--tenant", "acme", "--agent", "echo", "--wait", "--json", "hello")

    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    result = json.loads(line)
    assert (result["status"], result["output"], result["agent"]) == ("succeeded", "hello", "echo")
    assert done.stderr == ""


def test_for_people_it_prints_the_answer(platform: Platform) -> None:
    """So that a shell can take it."""
    done = platform.cli("submit", "--tenant", "acme", "--agent", "echo", "--wait", "-", text="from a pipe")

    assert (done.returncode, done.stdout) == (0, "from a pipe\n")


def test_no_answer_and_no_name_controls_the_terminal(platform: Platform) -> None:
    """A tenant chose the agent's name, and the model the answer; JSON has both exactly."""
    hostile = "\x1b]0;pwned\x07\x1b[2J\x9b\u202ex"
    platform.model.script({"text": f"{hostile}\n2"})
    asked = platform.cli("submit", "--tenant", "acme", "--agent", "assistant", "--wait", "x")
    refused = platform.cli("submit", "--tenant", "acme", "--agent", f"{hostile}\n2", "--wait", "x")
    listed = platform.cli("results", "--tenant", "acme")
    exact = platform.cli("results", "--tenant", "acme", "--json")

    shown = r"\x1b]0;pwned\x07\x1b[2J\x9b"
    assert asked.stdout == f"{shown}\\u202ex\n2\n", asked.stderr
    assert refused.returncode == 3, refused.stderr
    assert shown in listed.stdout
    for done in (asked, refused, listed, exact):
        assert not set("\x1b\x07\x9b\u202e") & set(done.stdout + done.stderr)
    results = [json.loads(line) for line in exact.stdout.splitlines()]
    assert f"{hostile}\n2" in {result.get("output") for result in results if result["agent"] == "assistant"}
    assert len(listed.stdout.splitlines()) == len(results)


@pytest.mark.parametrize(
    ("arguments", "code", "status"),
    [
        (["--agent", "echo", "x"], 0, "succeeded"),
        (["--agent", "echo", "--metadata", "fail=internal", "x"], 1, "failed"),
        (["--agent", "nobody", "x"], 3, "refused"),
        (["--agent", "echo", "--metadata", "sleep=30", "--deadline", "1s", "x"], 4, "expired"),
    ],
)
def test_the_exit_code_says_how_it_ended(platform: Platform, arguments: list[str], code: int, status: str) -> None:
    """Scripts branch on it."""
    done = platform.cli("submit", "--tenant", "acme", "--wait", "--json", *arguments)

    assert (done.returncode, json.loads(done.stdout)["status"]) == (code, status), done.stderr


def test_a_refusal_is_one_line_for_people(platform: Platform) -> None:
    """Who, how, why."""
    done = platform.cli("submit", "--tenant", "globex", "--agent", "assistant", "--wait", "x")

    assert done.returncode == 3
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "refused: forbidden" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["submit", "--tenant", "acme", "--agent", "echo"],
        ["submit", "--tenant", "acme", "--agent", "echo", "--deadline", "soon", "x"],
        ["submit", "--tenant", "acme", "x"],
        ["submit", "--agent", "echo", "x"],
        ["run", "nothing"],
        ["tenants", "add", "Not_A_Tenant"],
        ["nonsense"],
    ],
)
def test_what_makes_no_sense_is_a_usage_error(platform: Platform, arguments: list[str]) -> None:
    """Exit code 2 and one line; nothing has been sent."""
    done = platform.cli(*arguments)

    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_a_tenant_that_is_not_there_is_named(platform: Platform) -> None:
    """Its topic does not exist; the next step is in the line."""
    done = platform.cli("submit", "--tenant", "nobody", "--agent", "echo", "--wait", "x")

    assert done.returncode == 1
    assert done.stderr == (
        "headrace: no tenant is called nobody: `headrace tenants list` shows who is,"
        " `headrace tenants add nobody` adds it\n"
    )


def test_without_waiting_it_prints_the_id_under_which_the_result_will_be(platform: Platform) -> None:
    """And `results` has it, once, soon."""
    done = platform.cli("submit", "--tenant", "globex", "--agent", "echo", "later")
    request_id = json.loads(done.stdout)["request_id"]

    def found() -> list[dict[str, Any]]:
        lines = platform.cli("results", "--tenant", "globex", "--json").stdout.splitlines()
        return [result for line in lines if (result := json.loads(line))["request_id"] == request_id]

    assert until(found)
    assert [result["output"] for result in found()] == ["later"]


def test_results_end_at_the_limit(platform: Platform) -> None:
    """With --follow too, or a script would wait for ever."""
    for text in ("one", "two"):
        platform.cli("submit", "--tenant", "globex", "--agent", "echo", "--wait", text)

    done = platform.cli("results", "--tenant", "globex", "--follow", "--limit", "2", "--json")

    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2


def test_a_request_sent_twice_is_answered_once_and_both_times(platform: Platform) -> None:
    """A script that does not know whether it has sent it sends it again."""
    name = f"twice-{uuid.uuid4()}"
    arguments = ["submit", "--tenant", "acme", "--agent", "echo", "--wait", "--json", "--id", name]

    first, again = platform.cli(*arguments, "x"), platform.cli(*arguments, "x")
    other = platform.cli(*arguments, "y")

    assert json.loads(first.stdout) == json.loads(again.stdout)
    assert (first.returncode, again.returncode) == (0, 0)
    assert (other.returncode, json.loads(other.stdout)["error"]["code"]) == (3, "id_conflict")


def test_a_file_is_sent_and_the_worst_result_decides(platform: Platform) -> None:
    """One result line a request, in whatever order they come."""
    file = platform.folder / "requests.jsonl"
    rows = [{"agent": "echo", "input": str(number)} for number in range(5)] + [{"agent": "nobody", "input": "x"}]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))

    done = platform.cli("submit", "--tenant", "acme", "--file", str(file), "--rate", "50", "--wait", "--json")

    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 3, done.stderr
    assert sorted(result.get("output", "refused") for result in results) == ["0", "1", "2", "3", "4", "refused"]


def test_a_new_tenant_is_served_when_the_command_returns(platform: Platform) -> None:
    """And not at some time after."""
    name = f"t-{uuid.uuid4().hex[:8]}"

    added = platform.cli("tenants", "add", name, "--tier", "standard", "--rpm", "600", "--json")
    done = platform.cli("submit", "--tenant", name, "--agent", "echo", "--wait", "hello", within=15)

    assert added.returncode == 0, added.stderr
    assert json.loads(added.stdout)["limits"]["rpm"] == 600
    assert done.stdout == "hello\n"
    shown = platform.cli("tenants", "show", name, "--json")
    assert json.loads(shown.stdout)["id"] == name
    assert name in {json.loads(line)["id"] for line in platform.cli("tenants", "list", "--json").stdout.splitlines()}


def test_a_platform_that_is_up_needs_no_topics(platform: Platform) -> None:
    """The plan of what is done is empty."""
    done = platform.cli("topics", "plan", "--json")

    assert (done.returncode, done.stdout) == (0, "")


def test_the_contracts_can_be_exported(platform: Platform, tmp_path: Path) -> None:
    """Without a broker, too."""
    done = platform.cli("schemas", "export", "--folder", str(tmp_path), "--json")

    paths = [Path(json.loads(line)["path"]) for line in done.stdout.splitlines()]
    assert paths
    assert all(json.loads(path.read_bytes()) for path in paths)


def test_a_stage_that_is_killed_comes_back(platform: Platform) -> None:
    """A crash is an event like any other; what was asked meanwhile is answered."""
    stages = [name for name in platform.pids if name not in {"kafka", "valkey"}]
    for name in stages:
        os.kill(platform.pids[name], signal.SIGKILL)

    done = platform.cli("submit", "--tenant", "acme", "--agent", "echo", "--wait", "--deadline", "60s", "still there")

    assert (done.returncode, done.stdout) == (0, "still there\n"), done.stderr
    said = platform.dev.errors.read_text()
    assert all(f"{name} ended with status -9, starting it again" in said for name in stages)


def _two_free_ports() -> int:
    """The first of two ports in a row that are free now."""
    first = free()
    try:
        must_be_free(first + 1, "a test")
    except PortTakenError:
        return _two_free_ports()
    return first


def test_a_stage_can_be_run_beside_the_others(platform: Platform) -> None:
    """In several processes, at the configured port and the next; it exits 0 when it has drained."""
    command = [*CLI, "run", "agent", "--count", "2"]
    folder, port = platform.folder / "beside", _two_free_ports()
    folder.mkdir()
    environment = {**platform.env, "HEADRACE_HTTP_PORT": str(port), "HEADRACE_HTP_PORT": "geheim"}
    with running(command, folder, environment) as more:
        assert until(lambda: more.errors.read_text().count("shard_opened") >= 2, START_S), more.errors.read_text()
        for number in (port, port + 1):
            assert until(lambda: _get(f"http://127.0.0.1:{number}", "/readyz")[0] == 200, 30)  # noqa: B023 - at once
        lines = [json.loads(line) for line in more.errors.read_text().splitlines()]
        (warned,) = [line for line in lines if line["event"] == "setting_ignored"]
        assert (warned["name"], warned["nearest"]) == ("HEADRACE_HTP_PORT", "HEADRACE_HTTP_PORT")
        done = platform.cli("submit", "--tenant", "acme", "--agent", "echo", "--wait", "x")

        assert done.returncode == 0, done.stderr
        assert more.stop() == 0
