"""Health checks of docker-compose.yml: exit code 0 when the process in this container does its work.

    probe.py file SECONDS   ALIVE_FILE was touched within SECONDS (see config/serving/alive.py)
    probe.py http URL       URL answers with less than 400; asked under the host name of PUBLIC_URL

Standard library only, and nothing of the application: a check costs 50 ms, not the import of Django.
"""

import http.client
import os
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

TIMEOUT = 4.0  # seconds; below the healthcheck's own, so that the reason is printed


def file_age() -> float:
    """Seconds since the process last worked; raises OSError when it never did."""
    return time.time() - Path(os.environ["ALIVE_FILE"]).stat().st_mtime


def status_of(url: str) -> int:
    """The HTTP status, redirects not followed. Raises OSError or HTTPException when nobody answers."""
    target = urlsplit(url)
    public = urlsplit(os.environ.get("PUBLIC_URL", url))
    connection = http.client.HTTPConnection(target.hostname or "127.0.0.1", target.port, timeout=TIMEOUT)
    # As the proxy in front would ask: other hosts are refused, and plain http is redirected.
    headers = {"Host": public.netloc, "X-Forwarded-Proto": public.scheme}
    connection.request("GET", target.path or "/", headers=headers)
    return connection.getresponse().status


def main(kind: str, argument: str) -> str:
    """The reason why it is unhealthy, or an empty string."""
    try:
        if kind == "file":
            age = file_age()
            return "" if age <= float(argument) else f"last sign of life {age:.0f} s ago"
        status = status_of(argument)
        return "" if status < 400 else f"{argument} answers {status}"
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) or 0)  # a text is printed, and means 1
