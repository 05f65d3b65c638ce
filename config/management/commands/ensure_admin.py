"""Make sure somebody can log into the admin. Run by `make run` at every start, and by hand.

ADMIN_USER, ADMIN_EMAIL and ADMIN_PASSWORD say who; without a password it asks on a terminal, else makes one
up and prints it once. Promise: no fixed default password, and an existing account is never changed.
"""

import secrets
import sys
from getpass import getpass
from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError

from config.environment import env
from jobs.management.operator import OperatorCommand


class Command(OperatorCommand):
    help = "Create the admin user unless there is one."

    def handle(self, *args: Any, **options: Any) -> None:
        named: str = env.str("ADMIN_USER", default="")
        others = User.objects.filter(username=named) if named else User.objects.filter(is_superuser=True)
        if others.exists():
            return
        name = named or "admin"
        password, generated = self._password(name)
        try:
            User.objects.create_superuser(name, env.str("ADMIN_EMAIL", default=""), password)
        except IntegrityError:  # a second start was quicker
            return
        self.stdout.write(f"Created the admin user {name!r}.")
        if generated:
            self.stdout.write(f"Its password, shown only this once: {password}")

    def _password(self, name: str) -> tuple[str, bool]:
        """The password, and whether we made it up."""
        user = User(username=name)
        if given := env.str("ADMIN_PASSWORD", default=""):
            for problem in self._problems(given, user):
                self.stderr.write(f"ADMIN_PASSWORD: {problem}")
            return given, False
        while sys.stdin.isatty():
            typed = getpass(f"Password for the new admin user {name!r} (empty: make one up): ")
            if not typed:
                break
            if problems := self._problems(typed, user):
                self.stderr.write("\n".join(problems))
            elif getpass("Once more: ") == typed:
                return typed, False
            else:
                self.stderr.write("They differ.")
        return secrets.token_urlsafe(12), True

    def _problems(self, password: str, user: User) -> list[str]:
        try:
            validate_password(password, user)
        except ValidationError as error:
            return list(error.messages)
        return []
