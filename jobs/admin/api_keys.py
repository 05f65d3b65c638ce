"""Who may call the API: keys are made here and shown once, rotated and revoked; and what was changed through them.

The promise: nobody gives a key more than he has himself, neither scopes nor queues nor tenants.
"""

from datetime import timedelta
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from config.theme.forms import Names
from config.theme.pages import ModelAdmin, labelled
from config.theme.readonly import ReadOnly
from config.theme.verbs import Verb, VerbForm, WithVerbs
from jobs import scopes
from jobs.access import ApiCall, ApiKey
from jobs.api import keys
from jobs.api.scopes import SCOPES

ALL = gettext_lazy("names with commas between them; empty: all")
LOOKS = {"valid": "success", "over": "warning", "revoked": "danger"}


class NewKey(forms.ModelForm[ApiKey]):
    scopes = forms.MultipleChoiceField(label=gettext_lazy("Scopes"), widget=UnfoldAdminCheckboxSelectMultipleWidget)
    queues = Names(label=gettext_lazy("Queues"), required=False, help_text=ALL)
    tasks = Names(label=gettext_lazy("Tasks"), required=False, help_text=ALL)
    tenants = Names(label=gettext_lazy("Tenants"), required=False, help_text=ALL)

    class Meta:
        model = ApiKey
        fields = ("name", "scopes", "queues", "tasks", "tenants", "per_minute", "expires_at")

    maker: Any  # set by the page

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = cast(forms.MultipleChoiceField, self.fields["scopes"])
        field.choices = [(name, name) for name, right in sorted(SCOPES.items()) if self.maker.has_perm(right)]

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        ends = said.get("expires_at")
        if ends and ends <= timezone.now():
            self.add_error("expires_at", _("This is past."))
        mine = scopes.of(self.maker)
        if mine.limits is not None and not mine.within(said.get("queues") or (), said.get("tenants") or ()).limits:
            raise forms.ValidationError(_("None of these queues and tenants are yours."))
        return said


class RotateForm(VerbForm):
    hours = forms.IntegerField(
        label=gettext_lazy("Hours that the old key goes on"), min_value=0, max_value=24 * 90, initial=24
    )


class Shown(Exception):
    """A key that has just been made, on its way to the page that shows it."""

    def __init__(self, row: ApiKey, whole: str, old: ApiKey) -> None:
        self.row, self.whole, self.old = row, whole, old


def _rotate(key: ApiKey, request: HttpRequest, hours: int) -> None:
    made = keys.rotate(key, timedelta(hours=hours))
    if made is None:
        raise ValueError(_("This key was rotated, revoked or over before."))
    raise Shown(*made, key)


def _revoke(key: ApiKey, request: HttpRequest) -> None:
    if not keys.revoke(key, by=request.user.get_username()):
        raise ValueError(_("This key was revoked before."))


@admin.register(ApiKey)
class ApiKeyAdmin(WithVerbs, ModelAdmin[ApiKey]):
    """What is limited is not edited: make another key, and revoke this one."""

    list_display = ("name", "prefix", "state", "scopes_told", "created_by", "last_used_at", "expires_at")
    list_select_related = ("created_by",)
    search_fields = ("name", "prefix")
    form = NewKey
    verbs = (
        Verb(
            "rotate",
            gettext_lazy("Rotate"),
            "jobs.add_apikey",
            _rotate,
            lambda key: _state(key) == "valid",
            RotateForm,
            gettext_lazy("A new key that may the same. It is shown once."),
            icon="autorenew",
        ),
        Verb(
            "revoke",
            gettext_lazy("Revoke"),
            "jobs.revoke_apikey",
            _revoke,
            lambda key: key.revoked_at is None,
            explained=gettext_lazy("Programs that use it are refused from now on."),
            grave=True,
            icon="block",
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        """Who has a scope sees the keys that he made."""
        rows = super().get_queryset(request)
        return rows if scopes.of(request.user).limits is None else rows.filter(created_by=request.user.pk)

    @labelled(gettext_lazy("State"), LOOKS)
    def state(self, key: ApiKey) -> tuple[str, str]:
        state = _state(key)
        return state, {"valid": _("valid"), "over": _("over"), "revoked": _("revoked")}[state]

    @admin.display(description=gettext_lazy("Scopes"))
    def scopes_told(self, key: ApiKey) -> str:
        return ", ".join(key.scopes)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        return type("NewKey", (form,), {"maker": request.user})

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        said = form.cleaned_data
        row, whole = keys.issue(
            said["name"],
            said["scopes"],
            by=request.user,
            queues=said["queues"] or (),
            tasks=said["tasks"] or (),
            tenants=said["tenants"] or (),
            per_minute=said["per_minute"],
            expires_at=said["expires_at"],
        )
        obj.__dict__.update(row.__dict__)
        request._punctual_key = whole  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        return self._shown(request, obj, request._punctual_key)  # type: ignore[attr-defined]

    def verb_view(self, request: HttpRequest, pk: str, name: str) -> HttpResponse:
        try:
            return super().verb_view(request, pk, name)
        except Shown as made:
            self.log_change(request, made.old, f"rotate: {made.row}")
            messages.success(request, _("The old key goes on for the time you said."))
            return self._shown(request, made.row, made.whole)

    def _shown(self, request: HttpRequest, row: ApiKey, whole: str) -> HttpResponse:
        """Not by way of a redirect: a message would be kept in a cookie."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("The key"),
            "row": row,
            "whole": whole,
        }
        response = TemplateResponse(request, "admin/jobs/apikey/made.html", context)
        response["Cache-Control"] = "no-store"
        return response


@admin.register(ApiCall)
class ApiCallAdmin(ReadOnly, ModelAdmin[ApiCall]):
    """What was changed through the API. Newest first; written by the API only."""

    list_display = ("at", "by", "operation", "path", "status")
    list_filter = ("operation",)
    search_fields = ("=by",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiCall]:
        rows = super().get_queryset(request)
        if scopes.of(request.user).limits is None:
            return rows
        mine = ApiKey.objects.filter(created_by=request.user.pk).values_list("prefix", flat=True)
        return rows.filter(by__in=[f"user:{request.user.get_username()}", *(f"key:{prefix}" for prefix in mine)])


def _state(key: ApiKey) -> str:
    if key.revoked_at:
        return "revoked"
    return "over" if key.expires_at and key.expires_at <= timezone.now() else "valid"
