"""A button that hands out a file, for the pages of files and exports.

`downloads.hand_out` decides who may have it. The promise: there is no link on a page; each is asked for by a
POST, lasts a minute, and stands in the log of its row.
"""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext_lazy as _

from config.theme.verbs import Verb, WithVerbs
from jobs.files import Export, StoredFile
from jobs.library import downloads

NAME = "download"


def _file(row: Any) -> StoredFile | None:
    return row.file if isinstance(row, Export) else row


def _download(row: Any, request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect(downloads.hand_out(_file(row), request.user))


def download(permission: str) -> Verb:
    return Verb(NAME, _("Download"), permission, _download, lambda row: _file(row) is not None, icon="download")


class HandsOut(WithVerbs):
    """Goes among the bases of a page whose verbs have a `download`."""

    def offered(self, request: HttpRequest, row: Any) -> list[dict[str, Any]]:
        found = super().offered(request, row)
        return [one for one in found if one["verb"].name != NAME or not self.withheld(request, row)]

    def withheld(self, request: HttpRequest, row: Any) -> str:
        """Why the file is not for whoever asks. Empty: it is."""
        try:
            downloads.hand_out(_file(row), request.user)
        except (PermissionDenied, ValueError) as exc:
            return str(exc)
        return ""
