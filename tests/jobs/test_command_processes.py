"""`manage.py jobs` as a process of its own: exit codes, pipes, a person at a terminal, Ctrl-C."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.installation import ROOT, Installation, Screen, installed

KIND = "probe.ok"
PLAIN = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
VERBS = (
    *("list", "show", "types", "stats", "queues", "workers", "watch", "enqueue", "schedule", "cancel", "retry"),
    *("run-now", "reschedule", "pause", "resume", "drain", "scale", "clean", "export", "import"),
)
SETTINGS = {"DJANGO_SETTINGS_MODULE": "tests.jobs.probe_settings"}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("installed")) as made:
        made.env |= SETTINGS
        yield made


def test_the_exit_code_tells_a_program_what_became_of_it(here: Installation) -> None:
    made = here.run("jobs", "enqueue", KIND)
    pk = json.loads(made.stdout)["id"]
    assert (made.returncode, made.stderr) == (0, "")
    assert here.run("jobs", "show", pk).returncode == 0
    nothing = here.run("jobs", "list", "--state", "failed")
    assert (nothing.returncode, nothing.stdout) == (3, "") and "no such jobs" in nothing.stderr
    for words in (["nonsense"], ["cancel"], ["enqueue", "probe.typo"], ["enqueue", KIND, "--data", "{"], ["clean"]):
        refused = here.run("jobs", *words)
        assert (refused.returncode, refused.stdout) == (2, ""), words
        assert "Traceback" not in refused.stderr


def test_a_database_that_does_not_answer_is_an_error_in_a_line(here: Installation) -> None:
    gone = "postgres://postgres@127.0.0.1:1/nothing" if "postgres" in here.env["DATABASE_URL"] else "sqlite:////proc/no"
    done = here.run("jobs", "--skip-checks", "stats", DATABASE_URL=gone)
    assert (done.returncode, done.stdout) == (1, "")
    assert "The database failed: " in done.stderr and "Traceback" not in done.stderr


def test_whoever_reads_only_the_first_lines_hears_no_complaint(here: Installation) -> None:
    for n in range(3):
        here.lines("jobs", "enqueue", KIND, "--data", json.dumps([f"{n}" * 30_000]))
    command = f"{sys.executable} manage.py jobs types | head -c 10"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, env=here.env, capture_output=True, text=True, timeout=60)
    assert len(done.stdout) == 10 and done.stderr == ""


def test_a_person_sees_tables_and_is_asked(here: Installation) -> None:
    for _ in range(3):
        here.lines("jobs", "enqueue", KIND, "--tag", "asked")
    listed = here.on_terminal("jobs", "list", "--tag", "asked")
    assert listed.code == 0 and "run at" in listed.text and "{" not in listed.text
    no = here.on_terminal("jobs", "cancel", "--tag", "asked", types="n\n")
    assert no.code == 3 and "cancel 3 jobs (3 scheduled)? [y/N]" in no.text and "Nothing was done." in no.text
    yes = here.on_terminal("jobs", "cancel", "--tag", "asked", types="y\n")
    assert yes.code == 0 and "cancel: 3 cancelled." in yes.text
    assert {one["state"] for one in here.lines("jobs", "list", "--tag", "asked")} == {"cancelled"}


def test_what_is_wanted_as_json_comes_as_json_on_a_terminal_too(here: Installation) -> None:
    told = here.on_terminal("jobs", "stats", "--json")
    assert json.loads(told.text)["failed"] == 0


def test_a_watch_is_a_live_page_that_ctrl_c_ends(here: Installation) -> None:
    here.lines("jobs", "enqueue", KIND)

    def look(screen: Screen) -> None:
        screen.until("last minute:")
        screen.until("default")
        screen.presses("\x03")

    seen = here.on_terminal("jobs", "watch", meanwhile=look)
    assert seen.code == 0 and "Traceback" not in seen.text
    assert seen.text.rstrip().endswith("\x1b[?25h\x1b[?1049l"), "the cursor and the old screen are back"


def widest(text: str) -> int:
    """How long the longest line of the last page is; 0 before its queues are there."""
    page = PLAIN.sub("", text.rpartition("\x1b[H")[2])
    return max(map(len, page.splitlines())) if "last minute:" in page and "clock" in page else 0


@pytest.mark.parametrize("columns", [40, 80, 300])
def test_a_watch_follows_the_size_of_its_terminal(here: Installation, columns: int) -> None:
    here.lines("jobs", "enqueue", KIND)

    def look(screen: Screen) -> None:
        screen.until("last minute:")
        screen.resize(columns)
        screen.until_so(lambda: widest(screen.text) == columns, f"a page {columns} wide")  # the next may be an old one
        screen.presses("\x03")

    seen = here.on_terminal("jobs", "watch", "--every", "1s", meanwhile=look, COLUMNS="")
    assert seen.code == 0 and seen.text.rstrip().endswith("\x1b[?25h\x1b[?1049l")


def test_a_watch_in_a_pipe_is_a_line_a_look(here: Installation) -> None:
    words = [sys.executable, "manage.py", "jobs", "watch", "--every", "1"]
    with subprocess.Popen(words, cwd=ROOT, env=here.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        looks = [json.loads(process.stdout.readline()) for _ in range(3)]
        os.kill(process.pid, signal.SIGINT)
        process.stdout.read()
        assert (process.wait(60), process.stderr.read()) == (0, b"")
    assert looks[0]["at"] < looks[1]["at"] < looks[2]["at"]


def test_help_tells_of_pipes_and_exit_codes(here: Installation) -> None:
    told = " ".join(here.run("jobs", "--help").stdout.split())
    assert "In a pipe, and with --json: one JSON object a line" in told
    assert f"{{{','.join(VERBS)}}}" in told or all(f" {verb} " in told for verb in VERBS)
    assert (
        "0 done; 1 an error, or not all of it could be done; 2 wrong usage, nothing was done; 3 nothing found" in told
    )
    page = (ROOT / "docs/cli.md").read_text()
    assert not [verb for verb in VERBS if f"`{verb}" not in page]
