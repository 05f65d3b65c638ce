"""Files that jobs took and made: what they are, whose, and until when. They come by jobs and go by the clean-up.

`jobs.library.storage` keeps them. The promise: whoever may not have a personal file does not learn what it is called.
"""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from config.theme.pages import ModelAdmin
from config.theme.readonly import ReadOnly
from config.theme.tenancy import OfTenants
from jobs.admin.handing import HandsOut, download
from jobs.files import StoredFile
from jobs.ids import parsed

FILTERS = frozenset({"personal__exact", "tenant"})


@admin.register(StoredFile)
class StoredFileAdmin(OfTenants, ReadOnly, HandsOut, ModelAdmin[StoredFile]):
    verbs = (download("jobs.view_storedfile"),)
    list_display = ("called", "content_type", "how_large", "owner", "personal", "created_at", "expires_at")
    list_display_links = ("called",)
    list_filter = ("personal",)
    list_select_related = ("owner",)
    list_per_page = 50
    search_fields = ("pk",)  # shows the box; `get_search_results` searches
    search_help_text = _("The whole id of a file or its job, or the name of its owner")
    ordering = ("-id",)
    sortable_by = ()
    fields = (
        *("called", "content_type", "how_large", "digest", "owner", "personal", "permission"),
        *("tenant", "created_at", "expires_at"),
    )
    readonly_fields = ("called", "how_large", "digest")

    def get_queryset(self, request: HttpRequest) -> QuerySet[StoredFile]:
        """And one's own, of whatever tenant: what was asked for several is of none."""
        rows: QuerySet[StoredFile] = super().get_queryset(request)
        return rows | admin.ModelAdmin.get_queryset(self, request).filter(owner=request.user.pk)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> StoredFile | None:
        row: StoredFile | None = super().get_object(request, object_id, from_field)
        return None if row is None else _named(request, row)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        shown = super().get_changelist_instance(request)
        for row in shown.result_list:
            _named(request, row)
        return shown

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """By index, and never by name: what others called a file is not for everybody to guess."""
        if not search_term:
            return queryset, False
        if pk := parsed(search_term):
            return queryset.filter(pk=pk) | queryset.filter(job_id=pk), False
        return queryset.filter(owner__username=search_term), False

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        return lookup in FILTERS  # ?name__startswith=... would tell letter by letter

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        shown: dict[str, Any] = {"page_part": "admin/jobs/storedfile/about.html", "row": row}
        if row is not None and self.has_view_permission(request, row):
            shown["withheld"] = self.withheld(request, row)
        shown = {**(extra_context or {}), **shown}
        return super().change_view(request, object_id, form_url, extra_context=shown)

    @admin.display(description=_("name"))
    def called(self, file: StoredFile) -> str:
        return getattr(file, "shown_name", "•••")

    @admin.display(description="SHA-256")
    def digest(self, file: StoredFile) -> SafeString:
        """Too long a word for a phone."""
        return format_html('<span class="break-all">{}</span>', file.sha256)

    @admin.display(description=_("size"))
    def how_large(self, file: StoredFile) -> str:
        return filesizeformat(file.size)


def _named(request: HttpRequest, file: StoredFile) -> StoredFile:
    """With the name that whoever asks may read: of a stranger's personal file, its ending alone."""
    may = not file.personal or file.owner_id == request.user.pk
    if not may and file.permission:
        may = request.user.has_perm(file.permission)
    _stem, dot, ending = file.name.rpartition(".")
    file.shown_name = file.name if may else f"•••{dot}{ending if dot else ''}"  # type: ignore[attr-defined]
    return file
