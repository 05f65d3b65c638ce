"""What it costs until a process is ready: seconds of processor time, the median of several starts.

    python -m bench.starts                        this tree
    python -m bench.starts --runs 7 . ../other    two trees, in turn, so that both meet the same neighbours

A worker and beat are real ones, on a broker in memory; they are measured when they say that they are ready.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import processes

CELERY = ("-m", "celery", "-A", "config")
ENDING = {
    "manage.py check": ("manage.py", "check"),
    "manage.py jobs types": ("manage.py", "jobs", "types"),
    "manage.py verify": ("manage.py", "verify"),
    "web": ("-c", "import config.wsgi"),
}
LASTING = {
    "worker": ((*CELERY, "worker", "-P", "prefork", "-X", "clock", "--without-mingle", "--without-gossip"), " ready."),
    "clock": ((*CELERY, "worker", "-P", "solo", "-Q", "clock", "--without-mingle", "--without-gossip"), " ready."),
    "beat": ((*CELERY, "beat"), "is starting."),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trees", nargs="*", type=Path, default=[Path()])
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        around = {
            tree: prepared(tree.resolve(), Path(folder) / str(number)) for number, tree in enumerate(options.trees)
        }
        print(f"{'seconds until ready':<22}" + "".join(f"{tree!s:>20}" for tree in around))
        for name in (*ENDING, *LASTING):
            took: dict[Path, list[float]] = {tree: [] for tree in around}
            for _ in range(options.runs):
                for tree, environment in around.items():
                    took[tree].append(seconds(name, tree, environment))
            print(f"{name:<22}" + "".join(f"{statistics.median(found):>20.2f}" for found in took.values()), flush=True)


def prepared(tree: Path, folder: Path) -> dict[str, str]:
    """The environment of its processes, with a database of its own."""
    folder.mkdir()
    environment = os.environ | {
        "DEBUG": "true",
        "DATA_DIR": str(folder),
        "DATABASE_URL": f"sqlite:///{folder / 'starts.sqlite3'}",
        "BROKER_URL": "memory://",
        "ENV_FILE": os.devnull,
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": str(tree),
        "PYTHONDONTWRITEBYTECODE": "",  # as where it runs: what does not change is compiled once
        "PYTHONPYCACHEPREFIX": str(folder / "compiled"),
    }
    subprocess.run([sys.executable, "manage.py", "migrate", "-v", "0"], cwd=tree, env=environment, check=True)
    return environment


def seconds(name: str, tree: Path, environment: dict[str, str]) -> float:
    if name in ENDING:
        before = os.times()
        command = [sys.executable, *ENDING[name]]
        subprocess.run(command, cwd=tree, env=environment, check=True, capture_output=True)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system
    words, ready = LASTING[name]
    with subprocess.Popen(
        [sys.executable, *words], cwd=tree, env=environment, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = next((line for line in process.stdout if ready in line), None)
        took = processes.seconds(processes.family(process.pid))
        process.terminate()
        process.stdout.read()
    if said is None:
        raise SystemExit(f"The {name} of {tree} ended before it was ready.")
    return took


if __name__ == "__main__":
    main()
