"""What people do with one row besides editing it, as buttons on its page: each with a small form of its own.

`WithVerbs` goes among the bases of a page; `verbs` are what it offers. The promise: a GET changes nothing, whoever may
not do it gets a 403 whatever the page showed, what is grave is asked twice, and what was done stands in the log.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.functional import Promise
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _

from config.theme.forms import ThemedForm

CONFIRMED = "_confirmed"  # posted by the small form; a bare POST of something grave is answered with that form


class VerbForm(ThemedForm):
    """The small form of a verb; `about` is the row. What is cleaned goes to the verb by name."""

    def __init__(self, about: Any, data: Any = None, **kwargs: Any) -> None:
        self.about = about
        super().__init__(data, **kwargs)


@dataclass(frozen=True)
class Verb:
    """`run` takes the row, the request and what the form cleaned; it returns what `told` makes a message of.

    Or the answer itself, such as the way to a file.
    """

    name: str
    label: str | Promise
    permission: str
    run: Callable[..., Any]
    fits: Callable[[Any], bool] = lambda row: True  # whether there is a button; the verb itself decides
    form: type[VerbForm] = VerbForm
    explained: str | Promise = ""
    grave: bool = False
    icon: str = ""
    many: str | Promise = ""  # what it is called above a list; empty: not for many rows, see `OfMany`

    @property
    def asks(self) -> bool:
        return self.grave or bool(self.form.base_fields)


class WithVerbs:
    verbs: ClassVar[tuple[Verb, ...]] = ()
    refusals: ClassVar[tuple[type[Exception], ...]] = (ValueError,)  # whose text is for whoever asked
    change_form_outer_before_template = "admin/verbs.html"

    def told(self, request: HttpRequest, row: Any, verb: Verb, outcome: Any) -> None:
        """Say what became of it."""
        messages.success(request, _("{verb}: done.").format(verb=verb.label))

    def noted(self, verb: Verb, said: dict[str, Any], outcome: Any = None) -> str:
        """For the log, with the receipt where it is a word."""
        reason = str(said.get("reason") or "")
        text = f"{verb.name}: {reason}" if reason else verb.name
        return f"{text} ({outcome})" if outcome and isinstance(outcome, str) else text

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.verb_view)  # type: ignore[attr-defined]  # the admin's
        return [path("<path:pk>/do/<slug:name>/", view, name=self._url_name()), *super().get_urls()]  # type: ignore[misc]

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        row = self.get_object(request, unquote(object_id))  # type: ignore[attr-defined]
        shown = {"verbs": self.offered(request, row), **(self.shown(request, row) if row is not None else {})}
        kwargs["extra_context"] = {**(kwargs.get("extra_context") or {}), **shown}
        answer: HttpResponse = super().change_view(request, object_id, *args, **kwargs)  # type: ignore[misc]
        return answer

    def shown(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """What else the page of this row tells."""
        return {}

    def offered(self, request: HttpRequest, row: Any) -> list[dict[str, Any]]:
        """The verbs that this person may use and that fit, each with its form and address."""
        if row is None:
            return []
        fitting = [one for one in self.verbs if request.user.has_perm(one.permission) and one.fits(row)]
        return [
            {"verb": one, "form": one.form(row, auto_id=f"{one.name}_%s"), "url": self.verb_url(row, one.name)}
            for one in fitting
        ]

    def verb_url(self, row: Any, name: str) -> str:
        return reverse(f"admin:{self._url_name()}", args=[row.pk, name])

    def verb_view(self, request: HttpRequest, pk: str, name: str) -> HttpResponse:
        """GET shows the small form; POST does it. Outside of any transaction: the verb has its own."""
        verb = next((one for one in self.verbs if one.name == name), None)
        # First: who may do it to none is not told which rows there are.
        if not self.has_view_permission(request) or (verb and not request.user.has_perm(verb.permission)):  # type: ignore[attr-defined]
            raise PermissionDenied
        row: Any = self.get_object(request, unquote(pk))  # type: ignore[attr-defined]
        if row is None or verb is None:
            raise Http404
        if not self.has_view_permission(request, row):  # type: ignore[attr-defined]
            raise PermissionDenied
        form = verb.form(row, request.POST if request.method == "POST" else None)
        sure = not verb.grave or CONFIRMED in request.POST
        if request.method == "POST" and form.is_valid() and sure:
            return self._done(request, row, verb, form)
        return self._asked(request, row, verb, form)

    def _done(self, request: HttpRequest, row: Any, verb: Verb, form: VerbForm) -> HttpResponse:
        try:
            outcome = verb.run(row, request, **form.cleaned_data)
        except self.refusals as exc:
            messages.error(request, str(exc))
        else:
            self.log_change(request, row, self.noted(verb, form.cleaned_data, outcome))  # type: ignore[attr-defined]
            if isinstance(outcome, HttpResponse):
                return outcome
            self.told(request, row, verb, outcome)
        return HttpResponseRedirect(_following(request) or reverse(f"admin:{self._name()}_change", args=[row.pk]))

    def _asked(self, request: HttpRequest, row: Any, verb: Verb, form: VerbForm) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),  # type: ignore[attr-defined]
            "opts": self.opts,  # type: ignore[attr-defined]
            "title": verb.label,
            "row": row,
            "one": {"verb": verb, "form": form, "url": request.path},
            "next": _following(request),
        }
        return TemplateResponse(request, "admin/verb.html", context)

    def _name(self) -> str:
        opts = self.opts  # type: ignore[attr-defined]
        return f"{opts.app_label}_{opts.model_name}"

    def _url_name(self) -> str:
        return f"{self._name()}_do"


def _following(request: HttpRequest) -> str:
    """Where to go afterwards, or instead. Empty for what leads to another site or is a script."""
    following = request.POST.get("next") or request.GET.get("next") or ""
    return following if url_has_allowed_host_and_scheme(following, allowed_hosts=None) else ""
