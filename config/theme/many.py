"""Verbs on the rows that are selected in a list: a page says how many, what becomes of them, and asks why.

`OfMany` goes among the bases of a page `WithVerbs`; a verb with a label `many` is offered. The promise: the list's own
post changes nothing, what the page showed is what is done, row by row, and only what changed stands in the log.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IS_POPUP_VAR
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from config.theme.verbs import CONFIRMED, Verb, VerbForm

MOST = 1_000  # rows, each in a transaction of its own while the person waits
SHOWN = 12


class OfMany:
    verbs: ClassVar[tuple[Verb, ...]]
    refusals: ClassVar[tuple[type[Exception], ...]]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        found: dict[str, Any] = super().get_actions(request)  # type: ignore[misc]  # the admin's
        if IS_POPUP_VAR in request.GET:
            return found
        offered = [verb for verb in self.verbs if verb.many and request.user.has_perm(verb.permission)]
        return found | {verb.name: (_action(verb), verb.name, verb.many) for verb in offered}

    def of_many(self, verb: Verb, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse | None:
        """The list posts what is selected, and is shown the page; the page posts it again, and it is done."""
        chosen = list(rows[: MOST + 1])
        if len(chosen) > MOST:
            told = _("At most {most} rows at once: select fewer, or filter the list first.")
            messages.error(request, told.format(most=MOST))
            return None
        if not chosen:
            messages.warning(request, _("Nothing that was selected is in the list any more."))
            return None
        form = verb.form(chosen[0], request.POST if CONFIRMED in request.POST else None)
        if form.is_valid() and CONFIRMED in request.POST:
            self._done_to_many(request, verb, form, chosen)
            return None
        return self._page_of_many(request, verb, form, chosen)

    def receipt(self, request: HttpRequest, row: Any, outcome: Any) -> None:
        """Say more of one of the first rows than that it is done."""

    def _done_to_many(self, request: HttpRequest, verb: Verb, form: VerbForm, chosen: list[Any]) -> None:
        """Outside of any transaction: the verb has its own for each row."""
        told: Counter[str] = Counter()
        refused: Counter[str] = Counter()
        for row in chosen:
            try:
                outcome = verb.run(row, request, **form.cleaned_data)
            except self.refusals as exc:
                refused[str(exc)] += 1
                continue
            if sum(told.values()) < SHOWN:
                self.receipt(request, row, outcome)
            told[_(outcome) if isinstance(outcome, str) else _("done")] += 1
            self.log_change(request, row, self.noted(verb, form.cleaned_data, outcome))  # type: ignore[attr-defined]
        gone = len(set(request.POST.getlist(ACTION_CHECKBOX_NAME))) - len(chosen)
        refused.update({_("not in the list any more"): gone} if gone > 0 else {})
        if told:
            messages.success(request, f"{verb.label}: " + ", ".join(f"{n} {what}" for what, n in told.items()))
        for why, n in refused.items():
            messages.warning(request, _("{n} left alone: {why}").format(n=n, why=why))

    def _page_of_many(self, request: HttpRequest, verb: Verb, form: VerbForm, chosen: list[Any]) -> HttpResponse:
        fitting = sum(1 for row in chosen if verb.fits(row))
        context = {
            **self.admin_site.each_context(request),  # type: ignore[attr-defined]
            "opts": self.opts,  # type: ignore[attr-defined]
            "title": verb.label,
            "one": {"verb": verb, "form": form, "url": request.get_full_path()},
            "back": request.get_full_path(),
            "fitting": fitting,
            "others": len(chosen) - fitting,
            "shown": [(row, verb.fits(row)) for row in chosen[:SHOWN]],
            "more": max(len(chosen) - SHOWN, 0),
            "also": [("action", verb.name), *((ACTION_CHECKBOX_NAME, row.pk) for row in chosen)],
        }
        return TemplateResponse(request, "admin/verb_many.html", context)


def _action(verb: Verb) -> Callable[..., HttpResponse | None]:
    def act(page: OfMany, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse | None:
        return page.of_many(verb, request, rows)

    return act
