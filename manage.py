#!/usr/bin/env python
"""Django's command line."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from config.command_line import USAGE, complaint  # not before the settings are named
    from config.serving.start import refuse_unreadable_settings

    if said := complaint(sys.argv[1:]):
        sys.stderr.write(f"{said}\n")
        sys.exit(USAGE)
    refuse_unreadable_settings()
    try:
        execute_from_command_line(sys.argv)
        sys.stdout.flush()
    except BrokenPipeError:  # `manage.py report week | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter complains at its end
        sys.exit(141)  # as a shell tells it: what the rest would have said is not known
    except KeyboardInterrupt:
        sys.exit(130)
