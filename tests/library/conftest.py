"""Each test has a work directory and a storage of its own: what one cleans up is nothing of another's."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobs.library import confinement, pictures


@pytest.fixture(autouse=True)
def work(settings: Any, tmp_path: Path) -> Path:
    settings.JOBS_WORK_DIR = tmp_path / "work"
    settings.JOBS_WORK_DIR.mkdir()
    return tmp_path / "work"


@pytest.fixture(autouse=True)
def kept(settings: Any, tmp_path: Path) -> Path:
    """Where the storage keeps its files."""
    place, usual = tmp_path / "kept", settings.STORAGES["jobs"]
    settings.STORAGES = settings.STORAGES | {"jobs": usual | {"OPTIONS": usual["OPTIONS"] | {"location": place}}}
    return place


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader gets its seconds of computing also on a machine that has much else to do: the file is judged."""
    monkeypatch.setattr(confinement.read, "__defaults__", (replace(confinement.LIMITS, wall=300),))
    monkeypatch.setattr(pictures, "LIMITS", replace(pictures.LIMITS, wall=300))
