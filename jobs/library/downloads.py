"""Who may have a file: the page behind its link, and `hand_out`, which makes a link for a person of the admin.

The link needs no login, but for personal files: those only their owner gets, who may still see them. Included by
config/urls.py. The promise: nothing is shown in the page's own place: a browser saves it, and guesses at nothing.
"""

import logging
from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from jobs.library import exports, people, storage
from jobs.library.people import Person
from jobs.models import Export, StoredFile

LASTS = timedelta(minutes=1)  # a link that is followed at once

logger = logging.getLogger(__name__)


def hand_out(file: StoredFile | None, user: Any) -> str:
    """A link of a minute, for who may have the file. The caller keeps a record, and has looked whether he sees its row.

    Raises PermissionDenied with the reason, and ValueError for a file that is over.
    """
    if file is None or (file.expires_at is not None and file.expires_at <= timezone.now()):
        raise ValueError(_("The file has been cleaned up: it is not here any more."))
    insist(file, people.of(user))
    return storage.link(file, LASTS)


def insist(file: StoredFile, person: Person) -> None:
    """Raises PermissionDenied with the reason for whoever may not have it."""
    _insist(file, Export.objects.filter(file=file).first(), person)


class Files:
    """Files that many calls name: looked up once for all of them, with two statements; none where none is named."""

    def __init__(self, pks: Iterable[UUID]) -> None:
        self._files = storage.many(pks)
        exports = Export.objects.filter(file__in=self._files).order_by("pk") if self._files else ()
        self._exports = {export.file_id: export for export in exports}  # the newest of a file, as `insist` has it

    def get(self, pk: UUID) -> StoredFile:
        """As `storage.get`."""
        return storage.there(self._files.get(pk), pk)

    def insist(self, file: StoredFile, person: Person) -> None:
        """As `insist`."""
        _insist(file, self._exports.get(file.pk), person)


def _insist(file: StoredFile, export: Export | None, person: Person) -> None:
    if export is not None:
        exports.insist(export, person.may)
    if file.permission and not person.may(file.permission):
        raise PermissionDenied(_("It needs the permission %(permission)s.") % {"permission": file.permission})
    if file.owner_id is not None and file.owner_id == person.user_id:
        return
    if export is not None or file.personal or file.owner_id is not None:
        raise PermissionDenied(_("Only whoever asked for it gets it."))
    if not file.tenant and person.scope.limits is not None:
        raise PermissionDenied(_("It is of no tenant, and so perhaps about all of them."))


@require_safe
@never_cache
def download(request: HttpRequest, token: str) -> HttpResponseBase:
    """404 for what is no link of ours, 410 for one that is over, 403 for a personal file of somebody else."""
    try:
        file = storage.linked(token)
        if file.personal and not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        if file.personal and not _is_for(request, file):
            return _told(request, "not_yours", 403)
        content = storage.read(file)
    except storage.BrokenLink:
        return _told(request, "broken", 404)
    except (storage.Expired, storage.Missing):
        return _told(request, "over", 410)
    logger.info("file=%s handed out user=%s", file.pk, request.user.pk)
    answer = FileResponse(content, as_attachment=True, filename=file.name, content_type=file.content_type)
    answer["X-Content-Type-Options"] = "nosniff"
    answer["Referrer-Policy"] = "no-referrer"
    answer["X-Robots-Tag"] = "noindex"
    return answer


def _is_for(request: HttpRequest, file: StoredFile) -> bool:
    mine = file.owner_id is not None and file.owner_id == request.user.pk
    return mine and (not file.permission or request.user.has_perm(file.permission))


def _told(request: HttpRequest, why: str, status: int) -> HttpResponse:
    answer = render(request, "public/no_file.html", {"why": why}, status=status)
    answer["Referrer-Policy"] = "no-referrer"
    answer["X-Robots-Tag"] = "noindex"
    return answer


urlpatterns = [path("files/<str:token>/", download, name="stored_file")]
