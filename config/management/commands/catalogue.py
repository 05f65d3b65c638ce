"""Bring the translations up to date: `manage.py catalogue` finds what is said and compiles; prints what lacks words.

Promise: a translation that is there is never lost while its text is still said.
"""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from config import catalogue


class Command(BaseCommand):
    help = "Update and compile the translations (locale/)."

    def handle(self, *args: Any, **options: Any) -> None:
        for language, _name in settings.LANGUAGES:
            if language == settings.LANGUAGE_CODE:
                continue
            found = catalogue.update(language)
            catalogue.store(language, found)
            missing = catalogue.lacking(found)
            for text in missing:
                self.stdout.write(f"{language}: {text}")
            self.stdout.write(f"{language}: {len(found)} texts, {len(missing)} without a translation.")
