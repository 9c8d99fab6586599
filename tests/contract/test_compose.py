"""The compose files, the image, and all that they mount: what they name exists, and nothing listens to the outside."""

from __future__ import annotations

import json
import re
import shutil
import tarfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.cli.app import execute
from ops.compose.pin import main as pin
from ops.settings import PREFIX, Settings
from streams.journey import DEPLOYED
from streams.telemetry.metric_definitions import VOCABULARY, Metric
from tests.contract.compose import JOURNEYS, MAIN, SECRET, compose, resolved, yaml
from tests.contract.planted import ROOMS, ROOT, run

COMPOSE = ROOT / "ops" / "compose"
DASHBOARDS = sorted((COMPOSE / "grafana" / "dashboards").glob("*.json"))
ONE_SHOT = {"topics", "tenant"}
EXACT = re.compile(r"[\w./-]+:v?\d+\.\d+\.\d+(-[a-z]+)*(@sha256:[0-9a-f]{64})?")
METRIC = re.compile(r"\bheadrace_\w+")
OF_PROMETHEUS = {"instance", "job", "le", "stage"}


@pytest.fixture(scope="module", params=JOURNEYS)
def journey(request: pytest.FixtureRequest) -> str:
    """Each journey has its files."""
    return str(request.param)


@pytest.fixture(scope="module")
def model(journey: str) -> dict[str, Any]:
    """What Compose starts for the journey."""
    return resolved(*JOURNEYS[journey])


@pytest.fixture
def services(model: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Its services, by name."""
    found = model["services"]
    assert isinstance(found, dict)
    return found


def _own(services: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The services of Headrace's own image."""
    return {name: each for name, each in services.items() if each["image"].startswith("headrace:")}


# --- the services -----------------------------------------------------------------------------------------------------


def test_the_stages_of_the_journey_are_there_and_no_other(services: dict[str, dict[str, Any]], journey: str) -> None:
    """A stage that is missing stops every request; one of the other journey does not start."""
    stages = {each["command"][1] for each in services.values() if (each.get("command") or [""])[0] == "run"}

    assert stages == set(DEPLOYED[journey])  # type: ignore[index]
    assert {"kafka", "valkey", "kafka-ui", "prometheus", "grafana"} | ONE_SHOT | stages == set(services)
    assert journey in services["topics"]["command"]


def test_every_port_is_on_loopback(services: dict[str, dict[str, Any]]) -> None:
    """Neither the broker nor the pages ask who is there."""
    ports = [port for each in services.values() for port in each.get("ports", ())]

    assert len(ports) == 4
    assert {port.get("host_ip") for port in ports} == {"127.0.0.1"}
    assert not any("network_mode" in each for each in services.values())


def test_every_image_has_an_exact_tag(services: dict[str, dict[str, Any]]) -> None:
    """`latest`, or a major version, is another program tomorrow."""
    wrong = [each["image"] for each in services.values() if not EXACT.fullmatch(each["image"])]

    assert wrong == []
    assert {each["image"] for each in _own(services).values()} == {f"headrace:{_version()}"}


def test_every_service_has_a_health_check_and_comes_back(services: dict[str, dict[str, Any]]) -> None:
    """Others wait for it, and `up --wait` tells the truth."""
    lasting = {name: each for name, each in services.items() if name not in ONE_SHOT}

    assert [name for name, each in lasting.items() if not each.get("healthcheck", {}).get("test")] == []
    assert [name for name, each in lasting.items() if each.get("restart") != "unless-stopped"] == []
    waited = [(each, *found) for each in services.values() for found in (each.get("depends_on") or {}).items()]
    assert all(
        how["condition"] == ("service_completed_successfully" if name in ONE_SHOT else "service_healthy")
        for _, name, how in waited
    )


def test_headraces_services_have_no_rights(services: dict[str, dict[str, Any]]) -> None:
    """Agents run in them."""
    for each in _own(services).values():
        assert (each["user"], each["read_only"], each["cap_drop"], each["init"]) == (_user(), True, ["ALL"], True)
        assert each["security_opt"] == ["no-new-privileges:true"]
        assert not each.get("volumes")


def test_a_stage_may_finish_its_runs(services: dict[str, dict[str, Any]]) -> None:
    """Compose kills ten seconds after SIGTERM unless it is told otherwise."""
    for name in _own(services).keys() - ONE_SHOT:
        assert float(services[name]["stop_grace_period"].removesuffix("s")) > Settings().grace


def test_every_command_is_one_of_the_command_line(
    services: dict[str, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    """With its options: `--help` is an error after an unknown one."""
    for each in _own(services).values():
        assert execute([*each["command"], "--help"]) == 0, each["command"]
        assert capsys.readouterr().out
    assert execute(["topics", "apply", "--planted", "--help"]) == 2


def test_every_variable_is_a_setting(services: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelled one is silent; each value has to be valid too."""
    settings = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    for each in _own(services).values():
        given = {name: value for name, value in each["environment"].items() if value is not None}
        assert set(each["environment"]) <= settings
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        assert len(Settings().model_fields_set) >= len(given)


def test_without_a_seal_secret_nothing_starts() -> None:
    """The line says where to set it; a secret in a public file is none."""
    done = compose("--file", MAIN, "--env-file", "/dev/null", "config", "--quiet", HEADRACE_SEAL_SECRET="")

    assert done.returncode != 0
    assert "HEADRACE_SEAL_SECRET" in done.stderr
    assert "docs/howto/compose.md" in done.stderr
    assert SECRET not in (ROOT / MAIN).read_text(encoding="utf-8")


@pytest.mark.planted
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("    hostname: kafka", "    hostnam: kafka"),
        ("{ condition: service_healthy }", "{ condition: service_happy }"),
        ("    <<: *stage\n", "    <<: *stages\n"),
        ("    depends_on:\n      kafka:", "    depends_on:\n      kafak:"),
    ],
)
def test_what_compose_does_not_know_is_refused(tmp_path: Path, before: str, after: str) -> None:
    """The parser has been seen to say no."""
    text = (ROOT / MAIN).read_text(encoding="utf-8")
    assert before in text
    (tmp_path / MAIN).write_text(text.replace(before, after, 1), encoding="utf-8")

    assert compose("--file", MAIN, "config", "--quiet", folder=tmp_path).returncode != 0


# --- the files that are mounted ---------------------------------------------------------------------------------------


def test_every_mounted_file_exists(model: dict[str, Any]) -> None:
    """Docker makes a folder of what does not, and the service starts with that."""
    mounts = [mount for each in model["services"].values() for mount in each.get("volumes", ())]
    bound = [mount for mount in mounts if mount["type"] == "bind"]
    named = {mount["source"] for mount in mounts if mount["type"] == "volume"}

    assert bound
    assert [mount["source"] for mount in bound if not Path(mount["source"]).exists()] == []
    assert all(mount["read_only"] for mount in bound)
    assert named == set(model["volumes"])


def test_prometheus_finds_every_stage(services: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    """By one name that all of them have, at the port at which all of them answer."""
    scrape = yaml(COMPOSE / "prometheus.yml", tmp_path)["scrape_configs"]
    (job,) = [each for each in scrape if each["job_name"] == "headrace"]
    (found,) = job["dns_sd_configs"]

    for name in _own(services).keys() - ONE_SHOT:
        assert services[name]["networks"]["default"]["aliases"] == found["names"]
        assert services[name]["environment"]["HEADRACE_HTTP_PORT"] == str(found["port"])
        assert f":{found['port']}/readyz" in services[name]["healthcheck"]["test"][-1]


def test_grafana_finds_its_source_and_its_dashboards(services: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    """Four files name each other."""
    (source,) = yaml(COMPOSE / "grafana/provisioning/datasources/prometheus.yml", tmp_path)["datasources"]
    (provider,) = yaml(COMPOSE / "grafana/provisioning/dashboards/headrace.yml", tmp_path)["providers"]
    mounts = {mount["target"]: mount["source"] for mount in services["grafana"]["volumes"]}
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]

    assert source["url"] == "http://prometheus:9090"
    assert Path(mounts[provider["options"]["path"]]) == COMPOSE / "grafana" / "dashboards"
    assert Path(home).name in {file.name for file in DASHBOARDS}
    for file in DASHBOARDS:
        sources = set(re.findall(r'"uid": "(\w+)"', json.dumps(_panels(file))))
        assert sources == {source["uid"]}


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_a_dashboard_names_only_metrics_and_labels_that_exist(file: Path) -> None:
    """A renamed metric leaves an empty panel, which looks like a quiet day."""
    queries = list(_queries(file))

    assert len(queries) >= 20
    assert [problem for query in queries for problem in _problems(query)] == []


def test_prometheus_files_name_only_metrics_that_exist() -> None:
    """Rules will come to stand beside the scrape configuration."""
    text = (COMPOSE / "prometheus.yml").read_text(encoding="utf-8")

    assert [problem for problem in _problems(text) if "headrace_" in problem] == []


@pytest.mark.planted
@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("sum(rate(headrace_record_total[1m]))", "no metric headrace_record_total"),
        ("sum(headrace_records)", "no metric headrace_records"),
        ("headrace_transaction_seconds", "no metric headrace_transaction_seconds"),
        ('headrace_lag_records{tenant="x"}', "no label tenant"),
        ("sum by (agent) (headrace_running)", "no label agent"),
    ],
)
def test_an_unknown_metric_or_label_is_reported(query: str, problem: str) -> None:
    """The checker has been seen to say no."""
    assert _problems(query) == [problem]


def _panels(file: Path) -> list[dict[str, Any]]:
    found = json.loads(file.read_text(encoding="utf-8"))["panels"]
    assert isinstance(found, list)
    return found


def _queries(file: Path) -> Iterator[str]:
    for panel in _panels(file):
        yield from (target["expr"] for target in panel.get("targets", ()))


def _samples(metric: Metric) -> set[str]:
    endings = ("_bucket", "_sum", "_count") if metric.kind == "histogram" else ("",)
    return {f"{metric.sample}{ending}" for ending in endings}


def _problems(query: str) -> list[str]:
    """Metrics of *query* that do not exist, and labels that none of its metrics has."""
    known = {sample: metric for metric in VOCABULARY for sample in _samples(metric)}
    named = METRIC.findall(query)
    missing = [f"no metric {name}" for name in named if name not in known]
    if missing:
        return missing
    allowed = OF_PROMETHEUS.union(*(known[name].labels for name in named))
    grouped = [label.strip() for group in re.findall(r"\bby \(([^)]*)\)", query) for label in group.split(",")]
    matched = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", query)
    return [f"no label {label}" for label in dict.fromkeys((*grouped, *matched)) if label not in allowed]


# --- the image --------------------------------------------------------------------------------------------------------


def _version() -> str:
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])


def _instructions(word: str) -> list[str]:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    return [line.removeprefix(f"{word} ").strip() for line in text.splitlines() if line.startswith(f"{word} ")]


def _user() -> str:
    return _instructions("USER")[-1]


def test_the_dockerfile_has_no_fault_that_its_linter_knows() -> None:
    """Among them: an image without a version, a shell that hides a failure, a last user that is root."""
    done = run(ROOT, "hadolint", "Dockerfile")

    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_is_built_in_two_stages_and_runs_as_nobody() -> None:
    """Installers stay behind; the user is a number, and not that of root."""
    bases = [line.partition(" ")[0] for line in _instructions("FROM")]

    assert len(bases) == 2
    assert all(EXACT.fullmatch(base) for base in bases)
    assert len(set(bases)) == 1
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", _user())
    assert _instructions("ENTRYPOINT") == ['["headrace"]']


def test_the_builder_gets_every_room_and_all_that_is_copied() -> None:
    """A room that is not copied is missing in production only."""
    lines = [line.split()[:-1] for line in _instructions("COPY") if not line.startswith("--from")]
    copied = {source for sources in lines for source in sources}
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    sent = {line.removeprefix("!") for line in ignored if line.startswith("!")}

    assert "*" in ignored
    assert set(ROOMS) <= copied
    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert sent == copied


def test_the_wheel_can_be_built_from_what_is_copied(tmp_path: Path) -> None:
    """The builder has nothing else, and a file that the build needs is missed where Docker is."""
    tree = tmp_path / "src"
    for *sources, _ in (line.split() for line in _instructions("COPY") if not line.startswith("--from")):
        for source in sources:
            copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
            (tree / source).parent.mkdir(parents=True, exist_ok=True)
            copy(ROOT / source, tree / source)

    done = run(tree, "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path / "dist"))

    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "dist").glob(f"headrace-{_version()}-*.whl"))) == 1


def test_the_source_distribution_has_all_of_it(tmp_path: Path) -> None:
    """Who has no repository can build the image from it."""
    done = run(ROOT, "hatchling", "build", "--target", "sdist", "--directory", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (file,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(file) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    mounted = {str(each.relative_to(ROOT)) for each in COMPOSE.rglob("*") if each.suffix in {".yml", ".json"}}
    assert {MAIN, "Dockerfile", ".dockerignore", "Makefile", "docs/howto/compose.md"} | mounted <= names


# --- digests ----------------------------------------------------------------------------------------------------------

DIGEST = f"sha256:{'0a' * 32}"


def _docker(folder: Path, script: str) -> None:
    """Put a docker command into *folder* that does what *script* says."""
    folder.mkdir()
    program = folder / "docker"
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Copies of what is pinned."""
    return [str(shutil.copy(ROOT / name, tmp_path / name)) for name in (MAIN, "Dockerfile")]


def test_pin_writes_the_digest_of_every_image(
    files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside the tag, and again over an older digest; the image that is built here has none."""
    _docker(tmp_path / "bin", f"echo {DIGEST}")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    assert (pin(files), pin(files)) == (0, 0)
    services = resolved(MAIN, folder=tmp_path)["services"]
    pinned = {each["image"] for name, each in services.items() if name not in _own(services)}

    assert len(pinned) == 5
    assert all(EXACT.fullmatch(image) and image.endswith(f"@{DIGEST}") for image in pinned)
    assert all("@" not in each["image"] for each in _own(services).values())
    assert Path(files[1]).read_text(encoding="utf-8").count(f"bookworm@{DIGEST}") == 2
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (None, "docker is not installed"),
        ("echo \"docker: 'buildx' is not a docker command.\" >&2; exit 1", "'buildx' is not a docker command"),
        ("echo latest", "(latest)"),
    ],
)
def test_pin_says_in_one_line_what_is_missing_and_changes_nothing(
    files: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    script: str | None,
    said: str,
) -> None:
    """Half of the digests would look like all of them."""
    if script is not None:
        _docker(tmp_path / "bin", script)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    assert pin(files) == 1
    captured = capsys.readouterr()
    assert len(captured.err.splitlines()) == 1
    assert said in captured.err
    assert Path(files[0]).read_text(encoding="utf-8") == (ROOT / MAIN).read_text(encoding="utf-8")
