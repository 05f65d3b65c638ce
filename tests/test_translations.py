"""The translations are whole and current. Without gettext's tools: Babel reads, checks and compiles."""

from typing import Any

import pytest
from django.conf import settings
from django.utils import translation

from config import catalogue
from notifications.models import Booking

LANGUAGES = [code for code, _ in settings.LANGUAGES if code != settings.LANGUAGE_CODE]

pytestmark = pytest.mark.parametrize("language", LANGUAGES)


def test_all_that_is_said_has_its_translation(language: str) -> None:
    known = catalogue.load(language)
    unknown = [text for text in catalogue.spoken() if not known.get(_key(text))]
    assert not unknown + catalogue.lacking(known), "run `manage.py catalogue` and translate"


def test_what_is_counted_is_said_in_the_readers_language(language: str) -> None:
    """Of a template and of the theme's own Python."""
    said = catalogue.spoken()
    assert ("%(n)s booking", "%(n)s bookings") in said
    assert "Select record" in said


def test_nothing_is_translated_that_is_not_said_any_more(language: str) -> None:
    said = {_key(text) for text in catalogue.spoken()}
    assert not [message.id for message in catalogue.load(language) if message.id and _key(message.id) not in said]


def test_no_translation_is_a_guess_and_none_loses_a_placeholder(language: str) -> None:
    found = catalogue.load(language)
    assert not [message.id for message in found if message.id and message.fuzzy]
    assert not [(message.id, [str(error) for error in errors]) for message, errors in found.check()]


def test_the_compiled_file_is_that_of_the_source(language: str) -> None:
    compiled = catalogue.file(language, "mo").read_bytes()
    assert compiled == catalogue.compiled(catalogue.load(language)), "run `manage.py catalogue`"


def test_django_reads_it(language: str) -> None:
    english = str(Booking._meta.verbose_name)
    with translation.override(language):
        assert str(Booking._meta.verbose_name) != english


def _key(text: Any) -> str:
    return text[0] if isinstance(text, tuple | list) else str(text)
