"""What the pages of bookings and payments have in common: they save through the verbs of a module, in whose transaction
the reminders follow; their page opens with the story of those reminders and the receipt of what was just done.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.contrib import messages
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from config.theme.many import OfMany
from config.theme.verbs import Verb, WithVerbs
from notifications import bookings
from notifications.admin.receipts import show
from notifications.admin.stories import story
from notifications.admin.undeletable import Undeletable


class ByVerb(Undeletable, OfMany, WithVerbs):
    make: Any
    change: Any
    refusals = (bookings.NotOpen, ValueError)
    # Fields of the form alone, which is empty for who may not change the row; in their place, what tells it in words.
    typed: ClassVar[Mapping[str, str]] = {}
    list_per_page = 50
    show_full_result_count = False

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """What is only there to be sent back is not shown to who sends nothing back."""
        found = super().get_fields(request, obj)  # type: ignore[misc]  # the admin's
        if obj is not None and self.has_change_permission(request, obj):  # type: ignore[attr-defined]
            return found
        told = {"seen": "", **(self.typed if obj is not None else {})}
        lines = ([one] if isinstance(one, str) else one for one in found)
        kept = ([told.get(name, name) for name in line if told.get(name, name)] for line in lines)
        return [tuple(line) for line in kept if line]

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool) -> None:
        if change:
            receipt = type(self).change(obj, **form.cleaned_data)
        else:
            made, receipt = type(self).make(**form.cleaned_data)
            obj.pk = made.pk
        obj.refresh_from_db()
        show(request, receipt, obj)

    def told(self, request: HttpRequest, row: Any, verb: Verb, outcome: bookings.Receipt) -> None:
        super().told(request, row, verb, outcome)
        show(request, outcome, row)

    def receipt(self, request: HttpRequest, row: Any, outcome: bookings.Receipt) -> None:
        messages.info(request, str(row))
        show(request, outcome, row)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            answer: HttpResponse = super().changeform_view(request, *args, **kwargs)  # type: ignore[misc]  # the admin's
        except bookings.NotOpen as exc:  # somebody cancelled or paid it while this page was open
            messages.error(request, str(exc))  # and nothing else: the page's transaction is undone
            return HttpResponseRedirect(request.get_full_path())
        return answer

    def shown(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        told: dict[str, Any] = {"page_part": "admin/notifications/story.html"}
        if request.user.has_perm("notifications.view_delivery") and request.method == "GET":
            told["story"] = story(request, type(row), row.pk)
        return told
