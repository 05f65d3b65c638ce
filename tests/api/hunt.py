"""A hunt through the API: schemathesis asks what its description allows, and what it forbids, of a real server.

    python -m tests.api.hunt                 # about 10,000 requests; DATABASE_URL says on which database
    python -m tests.api.hunt --examples 20   # fewer

Gunicorn serves a database of its own, with a scene in it; the broker is a closed port, since no request may need one.
Ends with 1 if anything was answered with a server error, or with what the description does not tell.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PYTHON = sys.executable
PHASES = "examples,coverage,fuzzing,stateful"
# What is not checked, and why: what is accepted depends on rows, not only on shapes; a DELETE cancels a job, whose row
# stays for its story; two callers' rows are compared in test_tenants.py.
LEFT_OUT = "positive_data_acceptance,use_after_free,object_level_authorization"


def hunt(examples: int, *, seed: int | None, only: str = "", phases: str = PHASES) -> int:
    from bench.database import throwaway

    with throwaway() as vendor, tempfile.TemporaryDirectory() as directory:
        from tests.api.hunted import scene

        key = scene()
        with _server(Path(directory)) as url:
            report = Path(directory, "report.json")
            command = [PYTHON, "-c", "from schemathesis.cli import schemathesis; schemathesis()"]
            command += ["--config-file", str(Path(__file__).with_name("schemathesis.toml"))]
            command += ["run", f"{url}/api/openapi.json"]
            command += ["-H", f"Authorization: Bearer {key}", "-n", str(examples), "--checks", "all"]
            command += ["--exclude-checks", LEFT_OUT, "--phases", phases]
            command += ["--suppress-health-check", "all", "--report-json-path", str(report), "--warnings", "off"]
            command += ["--continue-on-failure", "--request-timeout", "120", "--no-color"]
            command += ["--seed", str(seed)] if seed is not None else []
            command += ["--include-path-regex", only] if only else []
            ended = subprocess.run(command, cwd=directory, check=False)
            print(f"on {vendor}: {_told(Path(directory), report)}", flush=True)
            return ended.returncode


def _told(directory: Path, report: Path) -> str:
    codes: dict[str, int] = {}
    for line in (directory / "access.log").read_text().splitlines():
        codes[line] = codes.get(line, 0) + 1
    errors = sum(n for code, n in codes.items() if code.startswith("5"))
    by_code = ", ".join(f"{code}: {n}" for code, n in sorted(codes.items()))
    if errors:
        print((directory / "error.log").read_text()[-20_000:])
    return f"{sum(codes.values())} requests, {errors} server errors ({by_code})"


@contextmanager
def _server(directory: Path) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))  # and kept: a port that is only free may be another's by then
    port = listener.getsockname()[1]
    env = os.environ | {
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "BROKER_URL": "redis://127.0.0.1:1/0",
        "API_RATE_OF_KEY": "0",
        "API_RATE_OF_ADDRESS": "0",
        "LOG_LEVEL": "ERROR",
    }
    command = [PYTHON, "-m", "gunicorn", "config.wsgi", "--bind", f"fd://{listener.fileno()}", "--workers", "1"]
    command += ["--access-logfile", str(directory / "access.log"), "--access-logformat", "%(s)s"]
    with (directory / "error.log").open("w") as log:
        with listener:
            here = Path(__file__).parents[2]
            process = subprocess.Popen(command, env=env, stderr=log, cwd=here, pass_fds=[listener.fileno()])
        try:
            _until_it_answers(f"http://127.0.0.1:{port}/api/openapi.json", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(120)


def _until_it_answers(url: str, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + 300
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                json.load(response)
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.2)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=60, help="for each operation and phase")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--only", default="", help="a regular expression for the paths")
    parser.add_argument("--phases", default=PHASES)
    said: Any = parser.parse_args(argv)
    return hunt(said.examples, seed=said.seed, only=said.only, phases=said.phases)


if __name__ == "__main__":
    sys.exit(main())
