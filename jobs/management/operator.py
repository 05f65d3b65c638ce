"""What all commands have in common: which checks they wait for, and how an error of theirs reads.

The base of each `Command` that an operator calls.
"""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, SystemCheckError


class OperatorCommand(BaseCommand):
    requires_system_checks: Any = ("jobs", "punctual")  # the settings; the others import every page

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Django's own would begin the line with the name of the error's class."""
        called: Any = self
        try:
            return super().execute(*args, **options)
        except SystemCheckError:
            raise
        except CommandError as exc:
            if options.get("traceback") or not called._called_from_command_line:
                raise
            self.stderr.write(f"Error: {exc}")
            sys.exit(exc.returncode)
