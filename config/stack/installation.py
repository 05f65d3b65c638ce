"""What a start of the stack decides before it starts anything: ports, addresses, the children's environment.

Used by stack.py, in two ways: as the operator configured it (`.env` and the environment), or closed
off from all of that, for tests and the demo. Promise: secrets travel in the environment, never as arguments.
"""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from config.stack import dotenv
from config.stack.ports import Ports, choose, choose_free

FLOWER_USER = "flower"


class InstallationError(Exception):
    """The configuration does not allow a start. The message says what to set."""


@dataclass
class Installation:
    """One start of the stack, decided."""

    ports: Ports
    env: dict[str, str]
    without: set[str]
    flower_auth: str  # user:password
    flower_login: str  # how to log into Flower, fit to be shown
    flower_read_only: str = "false"
    admin: tuple[str, str] = ("", "")  # name and password, where we chose them
    urls: dict[str, str] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """The host name that the site answers to."""
        return urlsplit(self.env["PUBLIC_URL"]).hostname or "127.0.0.1"


def configured(data_dir: Path, file: Path, given: Mapping[str, str], without: set[str]) -> Installation:
    """From `.env` and the environment. Raises InstallationError, PortError."""
    values = {**dotenv.read(file), **os.environ, **given}
    if not values.get("SECRET_KEY") and not values.get("SECRET_KEY_FILE"):
        raise InstallationError(f"SECRET_KEY is missing. Put a line SECRET_KEY=<50 random characters> into {file}.")
    if values.get("BROKER_URL") or values.get("BROKER_URL_FILE"):
        without = without | {"broker"}
    ports = choose(values, {"web", "flower", "broker"} - without)
    return _decide(data_dir, ports, values, {**given, "ENV_FILE": str(file)}, without)


def closed_off(data_dir: Path, given: Mapping[str, str], without: set[str]) -> Installation:
    """From `given` alone, on free ports, with an admin user, a key and a database of its own."""
    env = {
        "ENV_FILE": os.devnull,
        "SECRET_KEY": secrets.token_urlsafe(48),
        "DATABASE_URL": f"sqlite:///{data_dir / 'punctual.sqlite3'}",
        "EMAIL_URL": f"filemail:///{data_dir / 'outbox'}",
        "ADMIN_USER": "admin",
        "ADMIN_PASSWORD": secrets.token_urlsafe(12),
        **given,
    }
    if "BROKER_URL" in given:
        without = without | {"broker"}
    decided = _decide(data_dir, choose_free(), env, env, without)
    decided.admin = (env["ADMIN_USER"], env["ADMIN_PASSWORD"])
    return decided


def _decide(
    data_dir: Path, ports: Ports, values: Mapping[str, str], env: Mapping[str, str], without: set[str]
) -> Installation:
    site = f"http://127.0.0.1:{ports.web}"
    children = {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PYTHONUNBUFFERED": "1",
        "OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES",  # macOS: the prefork pool aborts without it
        "DATA_DIR": str(data_dir),
        "PUBLIC_URL": values.get("PUBLIC_URL") or site,
        **env,
    }
    if "broker" not in without:
        children["BROKER_URL"] = f"redis://127.0.0.1:{ports.broker}/0"
    if "flower" not in without:
        children.setdefault("FLOWER_URL", values.get("FLOWER_URL") or f"http://127.0.0.1:{ports.flower}/")
    auth, login = _flower_login(values)
    urls = {
        "site": f"{site}/",
        "admin": f"{site}/admin/",
        "flower": f"http://127.0.0.1:{ports.flower}/",
        "broker": children.get("BROKER_URL") or values.get("BROKER_URL") or "(BROKER_URL_FILE)",
        "database": values.get("DATABASE_URL") or f"sqlite:///{data_dir / 'punctual.sqlite3'}",
        "mail": values.get("EMAIL_URL") or f"filemail:///{data_dir / 'outbox'}",
    }
    read_only = values.get("FLOWER_READ_ONLY") or "false"
    return Installation(ports, children, without, auth, login, read_only, urls=urls)


def _flower_login(values: Mapping[str, str]) -> tuple[str, str]:
    """user:password, and what to tell the operator about it."""
    if auth := values.get("FLOWER_BASIC_AUTH"):
        return auth, f"user {auth.partition(':')[0]}, password: see FLOWER_BASIC_AUTH"
    if password := values.get("FLOWER_PASSWORD"):
        return f"{FLOWER_USER}:{password}", f"user {FLOWER_USER}, password: FLOWER_PASSWORD in .env"
    password = secrets.token_urlsafe(12)
    return f"{FLOWER_USER}:{password}", f"user {FLOWER_USER}, password for this run: {password}"


def without_password(url: str) -> str:
    """The address, fit to be shown."""
    password = urlsplit(url).password
    return url.replace(f":{password}@", ":***@") if password else url
