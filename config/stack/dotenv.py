"""The file `.env` of `make run`: read as the settings read it, written once when it is missing.

Used by stack.py. Promise: an existing file is never changed, and nobody else can read a new one.
"""

import os
import secrets
import zoneinfo
from pathlib import Path
from typing import Any

import environ

NAMELESS = {"Etc/UTC", "Factory", "localtime"}  # in a zone database, and no names of places
TEMPLATE = """\
# Settings of this installation, written by `make run`. Real environment variables win over this file.
# .env.example explains everything that can be set.

# Signs sessions and links. Who changes it logs everybody out; who knows it can log in as anybody.
SECRET_KEY={secret_key}

# Opens Flower (the workers' monitor); the user name is "flower".
FLOWER_PASSWORD={flower_password}

# The zone of venues and customers that name none: this machine's. "14:00" in the admin is 14:00 there.
TIME_ZONE={time_zone}

# Where the web server, Flower and the bundled broker listen, all on 127.0.0.1.
#PORT=8000
#FLOWER_PORT=5555
#BROKER_PORT=6399

# Where the database, outgoing mail and the broker's files live. Default: data/ beside this file.
#DATA_DIR=/var/lib/punctual

# A broker or a database of your own instead of the bundled ones.
#BROKER_URL=redis://127.0.0.1:6379/0
#DATABASE_URL=postgres://user:password@127.0.0.1:5432/punctual
"""


def read(file: Path) -> dict[str, str]:
    """The variables that the file sets; none when there is no file. Raises OSError where it cannot be read."""

    class FromFile(environ.Env):  # type: ignore[misc]  # read_env fills its class's mapping, os.environ by default
        ENVIRON: dict[str, Any] = {}

    if file.exists():
        with file.open(encoding="utf-8") as lines:  # given a name, it would take what it may not read for missing
            FromFile.read_env(lines)
    return {name: str(value) for name, value in FromFile.ENVIRON.items()}


def zone_of_machine(localtime: Path = Path("/etc/localtime")) -> str:
    """The IANA name of the zone whose time the machine's clock shows; UTC where it does not tell.

    `localtime` is a link into a zone database, whose folder has another name on macOS (zoneinfo.default) and may have
    parts (posix, right). TZ wins over it, as everywhere, and is a name or such a file.
    """
    told = os.environ.get("TZ", "").removeprefix(":") or str(localtime)
    parts = os.path.realpath(told).split("/") if told.startswith("/") else [told]
    names, known = ("/".join(parts[n:]) for n in range(len(parts))), zoneinfo.available_timezones() - NAMELESS
    return next((name for name in names if name in known), "UTC")


def write_when_missing(file: Path) -> bool:
    """True when it was written now."""
    text = TEMPLATE.format(
        secret_key=secrets.token_urlsafe(48), flower_password=secrets.token_urlsafe(15), time_zone=zone_of_machine()
    )
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w") as stream:
        stream.write(text)
    return True
