"""The dashboard as a page: who sees which part of it, and the addresses of the parts that refresh themselves.

Called by the theme (UNFOLD["DASHBOARD_CALLBACK"]) and by the page's own script. The promise: what somebody may not see
is not asked for, and without a login there is nothing.
"""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils import timezone

from config.dashboard import machinery, messages
from config.dashboard.figures import Figure, Table
from config.dashboard.upcoming import upcoming
from jobs import scopes, stats
from jobs.bulk import database_now

SECONDS = {"now": 5, "ahead": 60}  # between two looks
Part = dict[str, Any]


def callback(request: HttpRequest, context: Part) -> Part:
    """The context of the whole page, for the theme."""
    return context | {"now": _now(request), "ahead": _ahead(request), "seconds": SECONDS}


def now(request: HttpRequest) -> HttpResponse:
    return render(request, "admin/dashboard/now.html", {"now": _now(request)})


def ahead(request: HttpRequest) -> HttpResponse:
    return render(request, "admin/dashboard/ahead.html", {"ahead": _ahead(request)})


urls = [
    path("now/", admin.site.admin_view(now), name="dashboard_now"),
    path("ahead/", admin.site.admin_view(ahead), name="dashboard_ahead"),
]


def _sees(request: HttpRequest, model: str) -> bool:
    app, name = model.split(".")
    return request.user.has_perm(f"{app}.view_{name}")


def _now(request: HttpRequest) -> Part:
    at = database_now()
    midnight = timezone.localtime(at).replace(hour=0, minute=0, second=0, microsecond=0)
    figures: list[Figure] = []
    tables: list[Table] = []
    scope = scopes.of(request.user)
    if _sees(request, "jobs.job"):
        figures += machinery.work(at, midnight, scope)
    if _sees(request, "notifications.booking") and scope.limits is None:
        figures.append(messages.day())
    if _sees(request, "notifications.delivery"):
        some, table = messages.today(midnight, scope.tenants)
        figures += some
        tables.append(table)
    if _sees(request, "jobs.clock"):
        figures += machinery.pulse()
    _add_traffic(request, at, figures, tables)
    if _sees(request, "notifications.breaker") and scope.tenants is None:  # what fails may be another's address
        figure, table = messages.providers()
        figures.append(figure)
        tables.append(table)
    return {"figures": figures, "tables": [table for table in tables if table.rows], "at": at}


def _add_traffic(request: HttpRequest, at: datetime, figures: list[Figure], tables: list[Table]) -> None:
    sees = {name for name in ("queue", "queueworker", "pause") if _sees(request, f"jobs.{name}")}
    if not sees:
        return
    found = stats.traffic(at, scopes.of(request.user))
    if "queueworker" in sees:
        figure, table = machinery.workers(found)
        figures.append(figure)
        tables.append(table)
    if "queue" in sees:
        tables.insert(0, machinery.queues(found, at))
    if "pause" in sees:
        tables.append(machinery.pauses(found))


def _ahead(request: HttpRequest) -> Part | None:
    return upcoming(database_now(), scopes.of(request.user)) if _sees(request, "jobs.job") else None
