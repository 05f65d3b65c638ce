"""The admin's pages with a million jobs and deliveries: milliseconds and statements of each.

`python -m bench.pages [--deliveries 1000000] [--explain]`, on a throw-away SQLite database, or on PostgreSQL where
DATABASE_URL names a server. The rows are those of `bench.filler`, with a day of work among them: messages sent today,
what failed, what is due, and what falls due in the next two days; and a tenth as many files, exports, reports and
mails of reports. Each page is asked for as a browser does, by somebody
who may see all. Says which took longer than a page may.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

from bench.database import throwaway
from bench.filler import a_day, fill, papers

AIM = 300.0  # ms
ROUNDS = 5


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--deliveries", type=int, default=1_000_000)
    options.add_argument("--explain", action="store_true", help="show how the database goes about the slow statements")
    chosen = options.parse_args()
    with throwaway() as kind:
        from django.test import override_settings

        from jobs.models import Export, Job
        from notifications.models import Booking, Delivery, ReportMail

        began = time.monotonic()
        fill(chosen.deliveries)
        a_day(chosen.deliveries)
        papers(chosen.deliveries // 10)
        took = time.monotonic() - began
        tables = ", ".join(
            f"{model.objects.count():,} {model._meta.verbose_name_plural}"
            for model in (Job, Booking, Delivery, Export, ReportMail)
        )
        print(f"{tables} on {kind}, made in {took:.0f} s", flush=True)
        storages = {name: {"BACKEND": f"django.{backend}"} for name, backend in PLAIN.items()}
        with override_settings(STORAGES=storages, LOGGING_CONFIG=None):
            measured(chosen.explain)


PLAIN = {
    "default": "core.files.storage.FileSystemStorage",
    "staticfiles": "contrib.staticfiles.storage.StaticFilesStorage",  # asks for no manifest
}


def pages() -> dict[str, str]:
    """What is measured, and its address."""
    from django.urls import reverse

    from jobs.models import Job
    from notifications.models import Booking, Delivery

    job, booking, delivery, file, export, report, mail = (reverse(f"admin:{name}_changelist") for name in NAMES)
    one, other, who = Job.objects.all()[7], Delivery.objects.all()[7], Booking.objects.all()[7]
    return {
        "dashboard": reverse("admin:index"),
        "dashboard, this moment": reverse("dashboard_now"),
        "dashboard, what is to come": reverse("dashboard_ahead"),
        "jobs": job,
        "jobs that failed": f"{job}?state__exact=failed",
        "jobs of a queue": f"{job}?queue=messages",
        "jobs by id": f"{job}?q={one.pk}",
        "jobs of a booking": f"{job}?q=booking:17",
        "bookings": booking,
        "bookings that are on": f"{booking}?status__exact=booked",
        "bookings of an address": f"{booking}?q={who.customer.email}",
        "bookings of some addresses": f"{booking}?q={who.customer.email.split('@')[0]}",
        "bookings of all addresses": f"{booking}?q=example.com",
        "bookings of nobody": f"{booking}?q=nobody",
        "deliveries": delivery,
        "deliveries that were sent": f"{delivery}?state__exact=sent",
        "deliveries in doubt": f"{delivery}?state__exact=in_doubt",
        "deliveries by channel": f"{delivery}?channel__exact=email",
        "deliveries by id": f"{delivery}?q={other.pk}",
        "deliveries to an address": f"{delivery}?q={other.customer.email}",
        "deliveries in doubt, to decide": reverse("admin:notifications_delivery_doubts"),
        "the day": reverse("admin:notifications_booking_day"),
        "one job": reverse("admin:jobs_job_change", args=[one.pk]),
        "one booking": reverse("admin:notifications_booking_change", args=[who.pk]),
        "one delivery": reverse("admin:notifications_delivery_change", args=[other.pk]),
        "errors": reverse("admin:jobs_job_errors"),
        "files": file,
        "files of somebody": f"{file}?q=asker",
        "files that are personal": f"{file}?personal__exact=1",
        "exports": export,
        "exports of somebody": f"{export}?q=asker",
        "exports of bookings": f"{export}?source=bookings",
        "exports as CSV": f"{export}?format__exact=csv",
        "reports": report,
        "reports of weeks": f"{report}?kind__exact=week",
        "reports in English": f"{report}?language__exact=en",
        "mails of reports": mail,
        "mails in doubt": f"{mail}?state__exact=in_doubt",
        "mails that were sent": f"{mail}?state__exact=sent",
        "mails to somebody": f"{mail}?q=asker",
    }


NAMES = (
    *("jobs_job", "notifications_booking", "notifications_delivery"),
    *("jobs_storedfile", "jobs_export", "notifications_report", "notifications_reportmail"),
)


class Timed:
    """Counts statements, and keeps the slowest."""

    def __init__(self) -> None:
        self.number, self.total, self.slowest, self.text, self.parameters = 0, 0.0, 0.0, "", None

    def __call__(self, execute: Callable[..., Any], sql: str, parameters: Any, many: bool, context: Any) -> Any:
        began = time.perf_counter()
        try:
            return execute(sql, parameters, many, context)
        finally:
            took = (time.perf_counter() - began) * 1e3
            self.number += 1
            self.total += took
            if took > self.slowest:
                self.slowest, self.text, self.parameters = took, sql, parameters


def measured(explain: bool) -> None:
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test import Client

    client = Client(SERVER_NAME="127.0.0.1")
    client.force_login(User.objects.create_superuser("root"))
    slow = []
    for name, path in pages().items():
        took, timed = [], Timed()
        for n in range(ROUNDS + 1):
            timed = Timed()
            began = time.perf_counter()
            with connection.execute_wrapper(timed):
                answer = client.get(path)
            took += [(time.perf_counter() - began) * 1e3] if n else []  # the first reads what the others find in memory
            assert answer.status_code == 200, (path, answer.status_code)
        middle = statistics.median(took)
        print(
            f"{name:32}{middle:8.0f} ms (worst {max(took):.0f}){timed.number:5} statements "
            f"{timed.total:6.0f} ms, slowest {timed.slowest:.0f}{'' if middle <= AIM else '   TOO SLOW'}",
            flush=True,
        )
        if middle > AIM:
            slow.append(name)
            if explain:
                how = "EXPLAIN (ANALYZE, BUFFERS) " if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN "
                with connection.cursor() as cursor:
                    cursor.execute(how + timed.text, timed.parameters)
                    plan = "\n    ".join(str(row[-1]) for row in cursor.fetchall())
                print(f"    {timed.text[:600]}\n    {plan}", flush=True)
    print(f"over {AIM:.0f} ms: {', '.join(slow) or 'none'}", flush=True)


if __name__ == "__main__":
    main()
