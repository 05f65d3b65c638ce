"""docker-compose.yml, Dockerfile and .dockerignore: valid, complete, no secrets, nothing open to the world.

compose-spec.json is the schema of github.com/compose-spec/compose-spec (Apache License 2.0), unchanged.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from django.conf import settings

from tests import compose
from tests.compose import FILLED_IN, ROOT, MissingVariable

SERVICES = compose.raw()["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]
ONE_SHOT = ["migrate"]
LASTING = [name for name in SERVICES if name not in ONE_SHOT]

# Settings that have no place in a container: a file that the image lacks, and the port of another broker.
NOT_FOR_CONTAINERS = {"ENV_FILE", "BROKER_PORT"}


def filled_in(value: Any) -> Any:
    """The same document with its variables replaced."""
    if isinstance(value, dict):
        return {key: filled_in(each) for key, each in value.items()}
    if isinstance(value, list):
        return [filled_in(each) for each in value]
    return compose.fill_in(value, FILLED_IN) if isinstance(value, str) else value


@pytest.mark.parametrize("document", [compose.raw(), filled_in(compose.raw())], ids=["as written", "filled in"])
def test_it_follows_the_compose_specification(document):
    schema = json.loads((ROOT / "tests/compose-spec.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(document)


@pytest.mark.parametrize("variable", sorted(FILLED_IN))
def test_a_missing_variable_stops_the_start_and_is_named(variable):
    incomplete = FILLED_IN | {variable: ""}
    with pytest.raises(MissingVariable, match=f"set {variable}"):
        compose.fill_in(compose.FILE.read_text(), incomplete)


def test_no_other_variable_is_needed():
    compose.fill_in(compose.FILE.read_text(), FILLED_IN)


def test_passwords_come_from_the_environment():
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|AUTH|TOKEN", variable):
                assert value is None or re.fullmatch(r"\$\{\w+:\?[^}]+\}", value), f"{name}: {variable}"
    assert not [word for word in FILLED_IN.values() if word in compose.FILE.read_text()]


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_is_an_argument(name):
    secrets = [value for key, value in FILLED_IN.items() if key not in ("PUBLIC_URL", "FROM_EMAIL")]
    arguments = " ".join(compose.fill_in(part, FILLED_IN) for part in SERVICES[name].get("command", []))
    assert not [secret for secret in secrets if secret in arguments]


@pytest.mark.parametrize("name", LASTING)
def test_a_service_is_watched_and_comes_back(name):
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert service["init"] is True
    assert service["healthcheck"]["test"]


@pytest.mark.parametrize("name", ONE_SHOT)
def test_a_task_that_ends_is_not_repeated(name):
    assert SERVICES[name]["restart"] == "no"


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_cannot_take_the_machine(name):
    limits = SERVICES[name]["deploy"]["resources"]["limits"]
    assert set(limits) == {"cpus", "memory"}


@pytest.mark.parametrize("name", OURS)
def test_our_containers_can_change_nothing_but_their_data(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert all(volume.split(":")[1].startswith("/data/") for volume in service["volumes"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_port_is_open_on_this_machine_alone(name):
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


def test_there_can_be_several_workers():
    assert not {"container_name", "ports", "hostname"} & set(SERVICES["worker"])
    assert "worker@%h" in SERVICES["worker"]["command"]


def test_a_worker_is_given_longer_than_a_task_may_take():
    grace = SERVICES["worker"]["stop_grace_period"]
    limit = getattr(settings, "CELERY_TASK_TIME_LIMIT", None) or 0
    assert int(grace.removesuffix("m")) * 60 > limit


def test_a_workers_long_jobs_never_delay_the_clock():
    worker, clock = (" ".join(SERVICES[name]["command"]) for name in ("worker", "clock"))
    assert f"--exclude-queues {settings.JOBS_CLOCK_QUEUE}" in worker
    assert f"--queues {settings.JOBS_CLOCK_QUEUE}" in clock


@pytest.mark.parametrize("name", OURS)
def test_a_service_gets_every_setting(name):
    read = {
        name
        for part in (ROOT / "config").glob("*.py")
        for name in re.findall(r'\benv\.\w+\(\s*"(\w+)"', part.read_text())
    }
    assert read - NOT_FOR_CONTAINERS <= set(SERVICES[name]["environment"])


@pytest.mark.parametrize("name", [name for name in SERVICES if name not in OURS])
def test_a_foreign_image_has_a_version(name):
    assert re.search(r":v?\d+(\.\d+)*(-\w+)?$", SERVICES[name]["image"])


def test_a_broker_that_is_full_refuses_instead_of_forgetting():
    command = " ".join(SERVICES["redis"]["command"])
    assert "--maxmemory-policy noeviction" in command
    assert "--appendonly yes" in command


def test_the_image_does_not_run_as_root_and_installs_only_known_packages():
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert re.findall(r"^USER (\S+)$", dockerfile, re.M) == ["punctual"]
    assert dockerfile.rindex("\nUSER ") > dockerfile.rindex("\nRUN ")
    assert "--require-hashes" in dockerfile
    assert not re.search("SECRET|PASSWORD|TOKEN", dockerfile)
    assert all(re.search(r":\d+\.\d+-", base) for base in re.findall(r"^FROM (\S+)", dockerfile, re.M))


def test_the_image_holds_what_runs_and_nothing_else():
    everything, *rules = [
        line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")
    ]
    assert everything == "*"
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    ours = {app for app in settings.INSTALLED_APPS if (ROOT / app.partition(".")[0] / "__init__.py").exists()}
    ours = {app.partition(".")[0] for app in ours} - {"tests"}
    words = {Path(path).name for path in settings.LOCALE_PATHS}
    assert ours | words | {"manage.py", "templates", "requirements.txt", "gunicorn.conf.py"} <= allowed
    assert all((ROOT / path).exists() for path in allowed)
    assert not {path for path in allowed if path.startswith((".env", "data", "tests", ".git"))}


def test_health_checks_use_files_that_are_in_the_image():
    for name in (name for name in OURS if name in LASTING):
        probe = SERVICES[name]["healthcheck"]["test"][2]
        assert f"!{probe}" in (ROOT / ".dockerignore").read_text().splitlines()


def test_the_image_is_built_without_settings(tmp_path: Path):
    environment = {"DATA_DIR": str(tmp_path), "ENV_FILE": str(tmp_path / "none")}
    command = [sys.executable, "manage.py", "collectstatic", "--noinput"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "static/staticfiles.json").exists()
