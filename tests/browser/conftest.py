"""The real site, served by gunicorn over a database of its own, a browser, and the people who use it.

All tests of this folder share the site and what is in it (`scene.py`); each makes what it changes itself.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser import scene
from tests.browser.person import PATIENCE, Person
from tests.stack.live import Live, pointed, started

QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
    "--no-first-run",
)
WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}

expect.set_options(timeout=PATIENCE)
SignIn = Callable[..., Person]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name == "browser":
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def chromium() -> str:
    if found := shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome"):
        return found
    if "chromium" in os.environ.get("REQUIRE_SERVERS", "").split():
        pytest.fail("chromium is required here and not installed")
    pytest.skip("chromium is not installed (Debian: apt install chromium)")


@pytest.fixture(scope="session")
def _site(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Web and broker; no workers: what a page asks for is in the ledger, and stays there for the test to see."""
    env = {"SECRET_KEY": settings.SECRET_KEY, "FLOWER_URL": "http://127.0.0.1:5555/", "WEB_CONCURRENCY": "1"}
    without = {"flower", "worker", "clock", "beat"}
    kept = {name: os.environ.pop(name) for name in ("BROKER_URL", "PUBLIC_URL", "PORT") if name in os.environ}
    with started(tmp_path_factory.mktemp("site"), without=without, env=env) as made:
        os.environ.update(kept)
        yield made


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # Playwright keeps an event loop in this thread
    try:
        with sync_playwright() as playwright:
            launched = playwright.chromium.launch(
                executable_path=chromium, headless=True, args=QUIET, timeout=3 * PATIENCE
            )
            yield launched
            launched.close()
    finally:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(scope="module")
def site(_site: Live, browser: Browser, django_db_blocker: Any) -> Iterator[Live]:
    """This process beside the site: rows that a test makes are the site's.

    After the browser: with its event loop, Django keeps other connections than without.
    """
    with pointed(_site, django_db_blocker):
        scene.set_up()
        yield _site


@pytest.fixture
def sign_in(browser: Browser, site: Live) -> Iterator[SignIn]:
    """`sign_in("olga")`, with `language`, `dark`, `phone`, `zone`; nobody is signed in with "". Names: scene.PEOPLE."""
    opened: list[Person] = []

    def sign(
        name: str, *, language: str = "en", dark: bool = False, phone: bool = False, zone: str | None = None
    ) -> Person:
        context = browser.new_context(
            viewport=PHONE if phone else WIDE,  # type: ignore[arg-type]  # a TypedDict of Playwright's
            locale=language,
            timezone_id=zone,
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
        )
        if name:
            context.add_cookies([{"name": "sessionid", "value": _session(name), "url": site.stack.urls["site"]}])
        opened.append(Person(context, site.stack.urls["site"]))
        return opened[-1]

    yield sign
    complaints = [complaint for person in opened for complaint in person.complaints]
    for person in opened:
        person.context.close()
    assert not complaints


@pytest.fixture
def olga(sign_in: SignIn) -> Person:
    """She operates."""
    return sign_in("olga")


@pytest.fixture
def maria(sign_in: SignIn) -> Person:
    """She manages."""
    return sign_in("maria")


@pytest.fixture
def root(sign_in: SignIn) -> Person:
    """May do everything."""
    return sign_in("root")


def _session(name: str) -> str:
    user, store = User.objects.get(username=name), SessionStore()
    store[SESSION_KEY], store[HASH_SESSION_KEY] = str(user.pk), user.get_session_auth_hash()
    store[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    store.create()
    return str(store.session_key)
