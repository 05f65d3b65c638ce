"""The supervisor, with children that do nothing, and with a broker."""

import json
import signal
import subprocess
import sys
import threading
from functools import partial
from signal import SIGQUIT, SIGTERM

import pytest
import redis

from config.stack import leftovers, supervisor as module
from config.stack.programs import broker_program
from config.stack.supervisor import NotReadyError
from tests.stack.conftest import FOREVER, dummy, processes, until, up_again

linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel call exists on Linux alone")
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {FOREVER}"


# --- Starting and restarting ---------------------------------------------------------------------------


def test_a_killed_process_is_started_again(supervisor, log):
    supervisor.add([dummy("a")])
    supervisor.start()
    supervisor.wait_ready()
    first = supervisor.pid("a")
    supervisor.kill("a")
    until(partial(up_again, supervisor, "a", 1))
    assert supervisor.pid("a") != first
    assert ("a", "-- died: signal 9 (SIGKILL); again in 0.5 s") in log


def test_each_quick_death_doubles_the_pause_up_to_its_limit(supervisor, log, monkeypatch):
    monkeypatch.setattr(module, "BACKOFF", (0.05, 0.15))
    supervisor.add([dummy("a")])
    supervisor.start()
    for count in range(3):
        until(partial(up_again, supervisor, "a", count))
        supervisor.kill("a")
    until(lambda: len(log.names("died")) == 3)
    assert [line.rpartition("again in ")[2] for _, line in log if "died" in line] == ["0.05 s", "0.1 s", "0.15 s"]


def test_a_process_that_lived_long_starts_its_pauses_anew(supervisor, log, monkeypatch):
    monkeypatch.setattr(module, "STEADY", 0.0)
    supervisor.add([dummy("a")])
    supervisor.start()
    for count in range(2):
        until(partial(up_again, supervisor, "a", count))
        supervisor.kill("a")
    until(lambda: len(log.names("again in 0.5 s")) == 2)


def test_a_process_starts_only_when_what_it_needs_is_ready(supervisor, tmp_path, log):
    supervisor.add([dummy("first", ready=lambda pid: (tmp_path / "go").exists())])
    supervisor.add([dummy("second", after=["first"]), dummy("third")])
    supervisor.start()
    supervisor.wait_ready(["third"])
    with pytest.raises(LookupError):
        supervisor.pid("second")
    (tmp_path / "go").touch()
    assert supervisor.wait_ready()


def test_a_process_taken_away_stays_away_until_it_is_let_back(supervisor):
    supervisor.add([dummy("a"), dummy("b")])
    supervisor.start()
    supervisor.wait_ready()
    supervisor.down("a")
    supervisor.kill("b")
    until(lambda: supervisor.restart_count("b") == 1)
    with pytest.raises(LookupError):
        supervisor.pid("a")
    supervisor.up("a")
    assert supervisor.wait_ready()


def test_one_that_is_never_ready_is_reported_with_its_last_words_and_all_stop(supervisor, mark, log):
    code = f"print('I lack a file', flush=True); {FOREVER}"
    supervisor.add([dummy("good"), dummy("bad", code, ready=lambda pid: False, timeout=600)])
    supervisor.start()
    until(lambda: ("bad", "I lack a file") in log)
    supervisor._children["bad"].first_started_at -= 600  # as if so much time had passed
    with pytest.raises(NotReadyError, match=r"bad was not ready after 600 s(.|\n)*I lack a file"):
        supervisor.wait_ready()
    supervisor.join()
    assert not processes(mark)


def test_what_is_noted_of_an_end_comes_after_the_last_words(supervisor, log, monkeypatch):
    monkeypatch.setattr(module, "LAST_WORDS", 60.0)
    noted, slow = threading.Event(), supervisor._log

    def one_who_writes_slowly(name: str, line: str) -> None:
        if line == "bye":
            noted.wait(0.3)  # what else is written meanwhile would come before it
        slow(name, line)
        if "died" in line:
            noted.set()

    supervisor._log = one_who_writes_slowly
    supervisor.add([dummy("a", "print('bye')")])
    supervisor.start()
    until(lambda: log.names("died"))
    assert next(line for _, line in log if line == "bye" or "died" in line) == "bye"


def test_one_that_dies_again_and_again_before_it_is_ready_is_not_waited_for(supervisor, monkeypatch):
    monkeypatch.setattr(module, "BACKOFF", (0.01, 0.01))
    supervisor.add([dummy("bad", "import sys; sys.exit('wrong setting')", ready=lambda pid: False)])
    supervisor.start()
    with pytest.raises(NotReadyError, match=r"bad died 3 times .*\(exit code 1\)(.|\n)*wrong setting"):
        supervisor.wait_ready()


# --- Stopping ------------------------------------------------------------------------------------------


def test_processes_stop_in_reverse_order(supervisor, log):
    supervisor.add([dummy("broker"), dummy("worker"), dummy("beat")])
    supervisor.start()
    supervisor.wait_ready()
    supervisor.request_stop()
    supervisor.join()
    assert log.names("stopped") == ["beat", "worker", "broker"]


def test_one_that_does_not_hear_the_first_signal_gets_its_second(supervisor, log):
    supervisor.add([dummy("a", DEAF, ready=lambda pid: ("a", "up") in log, stop=[(SIGTERM, 0.1), (SIGQUIT, 60.0)])])
    supervisor.start()
    supervisor.wait_ready()
    supervisor.request_stop()
    supervisor.join()
    assert "stopped: signal 3 (SIGQUIT)" in log[-1][1]


def test_one_that_hears_nothing_is_killed(supervisor, log):
    supervisor.add([dummy("a", DEAF, ready=lambda pid: ("a", "up") in log, stop=[(SIGTERM, 0.1)])])
    supervisor.start()
    supervisor.wait_ready()
    supervisor.request_stop()
    supervisor.join()
    assert "stopped: signal 9 (SIGKILL)" in log[-1][1]


def test_a_second_request_does_not_wait_for_the_grace_to_pass(supervisor, log, monkeypatch):
    monkeypatch.setattr(module, "HURRIED_GRACE", 60.0)
    supervisor.add([dummy("a", DEAF, ready=lambda pid: ("a", "up") in log, stop=[(SIGTERM, 600.0), (SIGQUIT, 600.0)])])
    supervisor.start()
    supervisor.wait_ready()
    supervisor.request_stop()
    supervisor.request_stop()
    assert supervisor.join(timeout=300)
    assert "SIGQUIT" in log[-1][1]


@linux
def test_a_killed_supervisor_leaves_nobody(tmp_path, mark):
    """Even if its children ignore SIGTERM. (Their own children: see tests/stack/test_run.py.)"""
    script = f"""
from functools import partial
from pathlib import Path
from config.stack.supervisor import Process, Supervisor
import sys
made = Supervisor(lambda *line: print(*line, flush=True), cwd=Path("."))
made.add(Process(name, (sys.executable, "-c", {DEAF!r})) for name in "abc")
made.start(); made.wait_ready(); made.join()
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    with process.stdout as output:
        heard = 0
        while heard < 3:  # each says "up" when it has become deaf
            line = output.readline()
            assert line, "it ended by itself"
            heard += "up" in line
        assert len(processes(mark)) == 4
        process.kill()
        process.wait()
    until(lambda: not processes(mark))


# --- What an earlier supervisor left (macOS) -----------------------------------------------------------


def test_a_sweep_kills_what_is_left_and_spares_who_has_got_its_number(tmp_path):
    file = tmp_path / "pids.json"
    left, stranger = (
        subprocess.Popen([sys.executable, "-c", FOREVER], stdout=subprocess.DEVNULL, start_new_session=True)
        for _ in range(2)
    )
    try:
        file.write_text(json.dumps({left.pid: leftovers.birth(left.pid), stranger.pid: "another birth"}))
        assert leftovers.sweep(file) == [left.pid]
        assert left.wait(60) == -signal.SIGKILL
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_without_a_usable_pid_file_nothing_is_swept(tmp_path):
    (tmp_path / "torn.json").write_text('{"12')
    assert leftovers.sweep(tmp_path / "torn.json") == leftovers.sweep(tmp_path / "missing.json") == []


# --- The broker ----------------------------------------------------------------------------------------


def test_what_the_broker_has_stored_survives_a_kill(supervisor, tmp_path, held_port):
    port = held_port
    supervisor.add([broker_program(tmp_path / "valkey", port)])
    supervisor.start()
    supervisor.wait_ready()
    with redis.Redis(port=port) as client:
        assert client.rpush("list", *range(1000)) == 1000
    supervisor.kill("broker")
    until(partial(up_again, supervisor, "broker", 1))
    with redis.Redis(port=port) as client:
        assert client.lrange("list", 0, -1) == [str(number).encode() for number in range(1000)]
