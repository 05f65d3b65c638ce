"""A program that calls the API: a key in one line, and a client that speaks JSON with it."""

import json
from collections.abc import Callable
from typing import Any

from django.test import Client

from jobs.api import keys

ROOT = "/api/v1/"


class Caller:
    """Asks with one key: JSON in, JSON out. Addresses are below /api/v1, unless they begin with /api or /health."""

    def __init__(self, key: str, row: Any = None) -> None:
        self.key, self.row = key, row
        self.client = Client(raise_request_exception=False)

    @property
    def name(self) -> str:
        """By which the records know it."""
        return f"key:{self.row.prefix}"

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Django's response; its JSON, read, is `.data`."""
        said = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        said |= {name.replace("_", "-"): value for name, value in headers.items()}
        content: Any = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
        where = path if path.startswith(("/api", "/health")) else ROOT + path.removeprefix("/")
        answer: Any = self.client.generic(method.upper(), where, headers=said, **content)
        is_json = "json" in answer.headers.get("Content-Type", "")
        answer.data = answer.json() if is_json and answer.content else None
        return answer

    def get(self, path: str, **headers: str) -> Any:
        return self.ask("get", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.ask("post", path, {} if body is None else body, **headers)

    def delete(self, path: str, **headers: str) -> Any:
        return self.ask("delete", path, **headers)


Make = Callable[..., Caller]


def program(*scopes: str, **limits: Any) -> Caller:
    """With a key of these scopes; the limits are those of `keys.issue`."""
    row, whole = keys.issue("a program", scopes, **limits)
    return Caller(whole, row)
