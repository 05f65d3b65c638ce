"""Flower's HTTP API, as a person's browser or script uses it."""

import base64
import json
import urllib.request
from typing import Any

from config.stack import Stack
from tests.faults.conftest import until


def ask(stack: Stack, path: str, method: str = "GET", login: str = "") -> Any:
    """`login` is user:password; without it, the first that Flower knows."""
    login = base64.b64encode((login or stack.installation.flower_auth.partition(",")[0]).encode()).decode()
    request = urllib.request.Request(
        f"{stack.urls['flower']}api/{path}", headers={"Authorization": f"Basic {login}"}, method=method
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def tasks(stack: Stack) -> dict[str, dict[str, Any]]:
    """Everything that Flower remembers, by id."""
    found: dict[str, dict[str, Any]] = ask(stack, "tasks?limit=10000")
    return found


def shown(stack: Stack, job: Any) -> dict[str, Any]:
    """What Flower shows of one job; nothing while it does not know it."""
    return tasks(stack).get(str(getattr(job, "id", job)), {})


def revoke(stack: Stack, job: Any, **options: str) -> None:
    words = "&".join(f"{name}={value}" for name, value in options.items())
    ask(stack, f"task/revoke/{getattr(job, 'id', job)}?{words}", "POST")


def becomes(stack: Stack, job: Any, *states: str) -> dict[str, Any]:
    """What Flower shows, as soon as it shows the job in one of these states."""

    def there() -> dict[str, Any] | None:
        found = shown(stack, job)
        return found if found.get("state") in states else None

    found: dict[str, Any] = until(there, f"Flower shows {job} as {' or '.join(states)}")
    return found
