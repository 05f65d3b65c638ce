"""What a list of kinds tells of arguments in one line: models too have a type."""

import pytest

from jobs import kinds, registry

LINES = {
    "jobs.clean_up": "wanted: object",
    "jobs.image": "file: string, steps: array",
    "jobs.warm_cache": "source: string, ttl: integer",
}


@pytest.mark.parametrize("name", LINES)
def test_each_argument_has_the_type_of_its_schema(name: str) -> None:
    assert kinds.described(registry.named(name))["arguments"] == LINES[name]
