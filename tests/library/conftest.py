"""Each test has a work directory of its own."""

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def work(settings: Any, tmp_path: Path) -> Path:
    settings.JOBS_WORK_DIR = tmp_path / "work"
    settings.JOBS_WORK_DIR.mkdir()
    return tmp_path / "work"
