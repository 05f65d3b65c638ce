"""What must be done before anything serves: migrations, static files, groups, an admin user. Run by `make run`.

One process for all of it, because starting Django costs more than they do. Promise: a second run changes
nothing, and costs nothing worth waiting for.
"""

import hashlib
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import OperationalError

from config import roles
from config.checks import unapplied_migrations
from jobs.management.operator import OperatorCommand


class Command(OperatorCommand):
    help = "Migrate the database, collect static files, make sure there are groups and an admin user."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--no-static", action="store_true", help="do not collect static files")

    def handle(self, *args: Any, **options: Any) -> None:
        for directory in (settings.DATA_DIR, settings.MEDIA_ROOT):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            missing = unapplied_migrations()
        except OperationalError as error:
            raise CommandError(f"The database does not answer (DATABASE_URL): {error}") from error
        if missing:
            self.stdout.write(f"Applying {len(missing)} migrations ...")
            call_command("migrate", verbosity=0, interactive=False)
        if not options["no_static"]:
            self._collect_static()
        for role in roles.install():
            self.stdout.write(f"Created the group {role!r}.")
        call_command("ensure_admin", stdout=self.stdout, stderr=self.stderr)

    def _collect_static(self) -> None:
        """Skipped while the sources are the same: hashing and compressing them all takes seconds."""
        stamp = settings.STATIC_ROOT.with_suffix(".stamp")
        sources = self._fingerprint()
        if stamp.exists() and stamp.read_text() == sources and (settings.STATIC_ROOT / "staticfiles.json").exists():
            return
        self.stdout.write("Collecting static files ...")
        call_command("collectstatic", verbosity=0, interactive=False, clear=True)
        stamp.write_text(sources)

    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        for finder in get_finders():
            for name, storage in finder.list([]):
                stat = Path(storage.path(name)).stat()
                digest.update(f"{name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
        return digest.hexdigest()
