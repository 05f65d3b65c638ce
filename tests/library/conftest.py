"""Each test has a work directory and a storage of its own: what one cleans up is nothing of another's."""

from pathlib import Path
from typing import Any

import pytest


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
