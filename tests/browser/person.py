"""Somebody in front of a browser, signed in, whose browser's complaints fail the test."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, ConsoleMessage, Error, Locator, Page, Request, Response

PATIENCE = 120_000  # milliseconds; alone, what is waited for comes within one
GRAVE = ("serious", "critical")
LOOKS = 5  # at a page that goes on to another, or loads itself again, while it is looked at


class Person:
    """`open` and `go` lead to a page; `looks_fine` asks axe; `page` is Playwright's, for the rest.

    At the end of the test, `complaints` must be empty: console errors, refused scripts, requests to other hosts.
    """

    def __init__(self, context: BrowserContext, site: str) -> None:
        self.context, self.site = context, site.rstrip("/")
        self.complaints: list[str] = []
        context.set_default_timeout(PATIENCE)
        self.page: Page = context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"{self.page.url}: {error}"))
        self.page.on("request", self._request)

    def open(self, path: str, status: int = 200) -> Page:
        """`path` as `reverse` gives it. When it returns, the page has loaded all it asked for."""
        answer: Response | None = self.page.goto(self.site + path, wait_until="load")
        assert answer is not None and answer.status == status, f"{path}: {answer and answer.status}"
        return self.page

    def go(self, by: Locator) -> None:
        """Click what leads to another page. When it returns, that one has loaded."""
        with self.page.expect_navigation(wait_until="load"):
            by.click()

    def looks_fine(self) -> None:
        """No serious finding of axe-core, and nothing that one has to scroll sideways for."""
        for left in reversed(range(LOOKS)):
            self.page.wait_for_load_state("load")
            try:
                told, wide = self._findings(), self.overflow()
                break
            except Error:  # there was no page any more, or not yet
                if not left:
                    raise
        assert not told, f"{self.page.url}\n" + "\n".join(told)
        assert wide <= 0, f"{self.page.url} is wider than the window by {wide} px"

    def _findings(self) -> list[str]:
        found: Any = Axe().run(self.page).response["violations"]
        return [
            f"{one['id']}: {one['help']}: {' | '.join(node['html'][:200] for node in one['nodes'][:3])}"
            for one in found
            if one["impact"] in GRAVE
        ]

    def overflow(self) -> int:
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def shoot(self, name: str) -> None:
        """With SHOTS=folder the page leaves a picture there, to be looked at."""
        if folder := os.environ.get("SHOTS"):
            self.photograph(Path(folder) / f"{name}.png")

    def photograph(self, file: Path) -> None:
        self.page.screenshot(path=file, full_page=True)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(f"{self.page.url}: {message.text}")

    def _request(self, request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme not in ("data", "blob", "about") and url.netloc != urlsplit(self.site).netloc:
            self.complaints.append(f"{self.page.url} asks for {request.url}")
