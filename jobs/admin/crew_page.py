"""How a queue is: open or paused, how much of it is out, and who works for it; more or fewer of them.

Part of the page of a queue, asked for every few seconds; `grow` and `shrink` are POST with a reason.
"""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.translation import gettext as _

from jobs import crews, pauses, scopes
from jobs.admin.pause_form import ReasonForm
from jobs.expressions import HELD
from jobs.models import Job, Pause, Queue

STEPS = {"grow": 1, "shrink": -1}


def told(request: HttpRequest, name: str) -> dict[str, Any]:
    """Four queries."""
    (crew,) = crews.of([name])
    held = dict(Job.objects.filter(HELD, queue=name).order_by().values_list("state").annotate(n=Count("pk")))
    pause = pauses.in_force(Pause.objects.filter(kind=Pause.Kind.QUEUE, name=name)).first()
    return {
        "name": name,
        "crew": crew,
        "pause": pause,
        "queued": held.get("queued", 0),
        "running": held.get("running", 0),
        "drained": pause is not None and not held,
        "may_pause": request.user.has_perm("jobs.pause_queue") and scopes.of(request.user).owns(name),
        "may_scale": request.user.has_perm("jobs.scale_queue") and scopes.of(request.user).owns(name),
    }


class CrewPage:
    """Views of QueueAdmin."""

    def crew_urls(self) -> list[Any]:
        view = self.admin_site.admin_view  # type: ignore[attr-defined]  # the admin's
        return [
            path("<str:name>/live/", view(self.live), name="jobs_queue_live"),
            path("<str:name>/scale/", view(self.scale), name="jobs_queue_scale"),
        ]

    def live(self, request: HttpRequest, name: str) -> HttpResponse:
        self._found(request, name)
        return TemplateResponse(request, "admin/jobs/queue/live.html", told(request, name))

    def scale(self, request: HttpRequest, name: str) -> HttpResponse:
        """One process more or fewer than is wanted, or than there is if nobody wanted anything."""
        queue = self._found(request, name)
        if not request.user.has_perm("jobs.scale_queue") or not scopes.of(request.user).owns(name):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        form, step = ReasonForm(request.POST), STEPS.get(request.POST.get("step", ""), 0)
        if form.is_valid():
            self._scale(request, queue, step, form.cleaned_data["reason"])
        else:
            messages.error(request, _("Say why so many processes are wanted."))
        return HttpResponseRedirect(reverse("admin:jobs_queue_change", args=[name]))

    def _scale(self, request: HttpRequest, queue: Queue, step: int, reason: str) -> None:
        (crew,) = crews.of([queue.name])
        wanted = None if step == 0 else (crew.actual if crew.desired is None else crew.desired) + step
        try:
            crews.desire(queue.name, wanted, by=request.user.get_username(), reason=reason)
        except ValueError as exc:
            messages.error(request, str(exc))
            return
        self.log_change(request, queue, f"Desired processes: {wanted or 'as started'}. {reason}")  # type: ignore[attr-defined]
        messages.success(request, _("Workers follow within ten seconds."))

    def _found(self, request: HttpRequest, name: str) -> Queue:
        queue: Queue | None = self.get_object(request, name)  # type: ignore[attr-defined]
        if queue is None:
            raise Http404
        if not self.has_view_permission(request, queue):  # type: ignore[attr-defined]
            raise PermissionDenied
        return queue
