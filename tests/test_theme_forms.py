"""Fields of our own in the admin's forms."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from config.theme.forms import Names


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("default, messages", ["default", "messages"]),
        (" default ,, default", ["default"]),
        ("", []),
        ('["a, b"]', ["a, b"]),
        ('[""]', [""]),
    ],
    ids=["commas", "twice", "none", "a comma in a name", "an empty name"],
)
def test_names_are_typed_with_commas_and_shown_as_they_are_typed(typed: str, names: list[str]) -> None:
    field = Names(required=False)
    assert field.clean(typed) == names
    assert field.clean(field.prepare_value(names)) == names
    assert not field.has_changed(names, typed)


@pytest.mark.parametrize("typed", ['"default"', '{"a": 1}', "[1]", "[", '["\\u0000"]'])
def test_what_is_no_list_of_names_is_refused_with_an_example(typed: Any) -> None:
    with pytest.raises(ValidationError, match="default, messages"):
        Names(required=False).clean(typed)
