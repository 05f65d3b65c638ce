"""Every service of docker-compose.yml, run as a plain process: its own command, its own environment, its own
health check, on a new PostgreSQL database and with the broker of the compose file.

What only a container has is put in its place: host names become 127.0.0.1, ports become free ones, /data
and /tmp become a directory of the test. Nothing else is added to the environment: what starts here would
start there.
"""

import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import redis

from config.stack import broker, ports
from tests import compose
from tests.compose import FILLED_IN, ROOT, Service

pytestmark = [pytest.mark.stack, pytest.mark.faults]  # half a minute; `make test` stays under three

POSTGRES = "postgres://postgres@127.0.0.1:5432/postgres"
READY_WITHIN = 300.0  # seconds; alone it takes 2 to 4
STOPPED_WITHIN = 300.0


class Machine:
    """Stands in for the containers: a directory, three free ports, a database."""

    def __init__(self, directory: Path, database: str, free: list[int]) -> None:
        self.directory = directory
        self.database = database
        self.web, self.flower, self.redis = free
        for name in ("data/media", "data/flower", "data/redis", "bin"):
            (directory / name).mkdir(parents=True)
        (directory / "bin/redis-server").symlink_to(broker.server_program())

    def place(self, name: str) -> Service:
        """The service with everything that only a container has replaced."""
        found, password = compose.service(name, FILLED_IN), FILLED_IN["POSTGRES_PASSWORD"]
        replacements = {
            f"punctual:{password}@postgres:5432/punctual": f"postgres@127.0.0.1:5432/{self.database}",
            "@redis:6379": f"@127.0.0.1:{self.redis}",
            "--port 6379 --dir /data": f"--port {self.redis} --dir {self.directory}/data/redis",
            "0.0.0.0": "127.0.0.1",
            "127.0.0.1:8000": f"127.0.0.1:{self.web}",
            "127.0.0.1:5555": f"127.0.0.1:{self.flower}",
            "/tmp/alive": f"{self.directory}/{name}.alive",
            "/data": f"{self.directory}/data",
        }

        def here(text: str) -> str:
            for container, machine in replacements.items():
                # Once replaced, a path is not replaced again: the directory may itself contain /data.
                if container in text and machine not in text:
                    text = text.replace(container, machine)
            return text

        environment = {key: here(value) for key, value in found.environment.items()}
        if "FLOWER_PORT" in environment:
            environment["FLOWER_PORT"] = str(self.flower)
        environment["PATH"] = f"{self.directory}/bin:{Path(sys.executable).parent}:{os.defpath}"
        environment["ENV_FILE"] = os.devnull  # the image has no .env
        return Service([here(part) for part in found.argv], environment, [here(part) for part in found.health])

    def run(self, argv: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=READY_WITHIN)

    @contextmanager
    def running(self, name: str, ready: Callable[[Service], str]) -> Iterator[subprocess.Popen[bytes]]:
        """Yields the process once `ready` has no objection, then stops it as Docker does and expects exit code 0."""
        here = self.place(name)
        log = self.directory / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                here.argv, cwd=ROOT, env=here.environment, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            deadline = time.monotonic() + READY_WITHIN
            while objection := ready(here):
                assert process.poll() is None, f"{name} ended with {process.returncode}:\n{log.read_text()}"
                assert time.monotonic() < deadline, f"{name} is not healthy: {objection}\n{log.read_text()}"
            yield process
            process.send_signal(signal.SIGTERM)
            assert process.wait(STOPPED_WITHIN) == 0, log.read_text()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    def objection(self, here: Service) -> str:
        """What the service's own health check says against it."""
        checked = self.run(here.health, here.environment)
        return "" if checked.returncode == 0 else checked.stderr or f"exit code {checked.returncode}"

    def broker_objection(self, _: Service) -> str:
        """Asked here and not by the health check's redis-cli, which this machine may lack."""
        try:
            redis.Redis(port=self.redis, password=FILLED_IN["REDIS_PASSWORD"]).ping()
        except redis.ConnectionError as error:
            return str(error)
        return ""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A new database, the broker running, the migrate service done, static files as in the image."""
    try:
        postgres = psycopg.connect(POSTGRES, autocommit=True, connect_timeout=30)
    except psycopg.OperationalError as error:
        if "postgres" in os.environ.get("REQUIRE_SERVERS", ""):
            raise
        pytest.skip(f"PostgreSQL does not answer at 127.0.0.1:5432: {error}")
    database = f"compose_{secrets.token_hex(4)}"
    with postgres, ports.Held(3) as held:
        postgres.execute(f"CREATE DATABASE {database}")
        try:
            machine = Machine(tmp_path_factory.mktemp("machine"), database, held.ports)
            with machine.running("redis", machine.broker_objection):
                migrate = machine.place("migrate")
                for argv in (migrate.argv, ["python", "manage.py", "collectstatic", "--noinput"]):
                    done = machine.run(argv, migrate.environment)
                    assert done.returncode == 0, done.stderr
                yield machine
        finally:
            postgres.execute(f"DROP DATABASE {database} WITH (FORCE)")


@pytest.mark.parametrize("name", ["web", "worker", "clock", "beat", "flower"])
def test_a_service_becomes_healthy_and_stops_cleanly(machine: Machine, name: str) -> None:
    assert machine.objection(machine.place(name)), "healthy before it was started"
    with machine.running(name, machine.objection):
        pass


def test_migrating_again_changes_nothing(machine: Machine) -> None:
    migrate = machine.place("migrate")
    again = machine.run(migrate.argv, migrate.environment)
    assert (again.returncode, again.stdout) == (0, ""), again.stderr


def test_the_broker_refuses_strangers_and_forgets_nothing(machine: Machine) -> None:
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=machine.redis).ping()
    known = redis.Redis(port=machine.redis, password=FILLED_IN["REDIS_PASSWORD"], decode_responses=True)
    for setting, value in (("appendonly", "yes"), ("maxmemory-policy", "noeviction")):
        assert known.config_get(setting) == {setting: value}


def test_flower_asks_who_is_there(machine: Machine) -> None:
    address = f"http://127.0.0.1:{machine.flower}/workers"
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    passwords.add_password(None, address, *FILLED_IN["FLOWER_BASIC_AUTH"].split(":"))
    known = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(passwords))
    with machine.running("flower", machine.objection):
        with pytest.raises(urllib.error.HTTPError, match="401") as refusal:
            urllib.request.urlopen(address, timeout=READY_WITHIN)
        refusal.value.close()
        with known.open(address, timeout=READY_WITHIN) as answer:
            assert answer.status == 200
