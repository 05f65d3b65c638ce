"""Each test keeps its files in a folder of its own."""

from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import storages

from notifications.models import Customer
from tests.factories import alice


@pytest.fixture(autouse=True)
def files(settings: Any, tmp_path: Path) -> Path:
    place = tmp_path / "files"
    kept = settings.STORAGES["jobs"]
    settings.STORAGES = settings.STORAGES | {"jobs": kept | {"OPTIONS": kept["OPTIONS"] | {"location": place}}}
    storages._storages.pop("jobs", None)  # type: ignore[attr-defined]
    return place


@pytest.fixture
def customer() -> Customer:
    return alice()
