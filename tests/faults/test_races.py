"""Races and accidents with real workers and real providers, in small; RACES and FAULTPOINTS make them big.

The programs themselves say what is wrong, and exit 1 if anything is.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.faults, pytest.mark.stack]
ROOT = Path(__file__).parents[2]


def run(module: str, *words: str, database: str = "") -> str:
    env = os.environ | {"DATABASE_URL": database, "PYTHONUNBUFFERED": "1"}
    for name in ("DJANGO_SETTINGS_MODULE", "DATA_DIR", "BROKER_URL", *([] if database else ["DATABASE_URL"])):
        env.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-m", module, *words], cwd=ROOT, env=env, capture_output=True, text=True, timeout=7200
    )
    print(done.stdout, done.stderr[-5000:])
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


@pytest.mark.parametrize("server", ["sqlite", "postgres"])
def test_a_receipt_is_true_whoever_is_faster(need_server, server: str) -> None:
    database = ""
    if server == "postgres":
        need_server("postgres")
        database = "postgres://postgres@127.0.0.1:5432/postgres"
    said = run("bench.races", "--bookings", os.environ.get("RACES", "150"), database=database)
    assert "every receipt was true" in said


def test_no_accident_at_a_provider_sends_twice_unless_it_is_counted() -> None:
    said = run("tests.faults.faultpoints", os.environ.get("FAULTPOINTS", "2"))
    assert said.count(" ok\n") == 45
