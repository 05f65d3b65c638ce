"""Who sees whose names and addresses: those with `notifications.reveal_customer`. For everybody else they are masked.

`Masked` goes first among the bases of every page and inline of this app; `personal` names its fields and how each is
masked. `middleware` has `str(customer)` masked as well, and with it titles, links, choices and messages.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext_lazy

from notifications import privacy

REVEAL = "notifications.reveal_customer"
# Of a customer, asked for from another table: customer__email__startswith would tell letter by letter.
OF_CUSTOMERS = {"name", "email", "phone", "webhook_url", "webhook_secret", "external_id"}

Mask = Callable[[str], str]


def may_reveal(request: HttpRequest) -> bool:
    return request.user.has_perm(REVEAL)


def middleware(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Goes after the one that knows the user. Asked only when something is to be shown."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        with privacy.asked(lambda: not may_reveal(request)):
            return get_response(request)

    return answer


class Masked:
    """A page or an inline on which the fields in `personal` are masked, read-only, and found only by their whole."""

    personal: ClassVar[Mapping[str, Mask]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for field, mask in cls.personal.items():
            own = getattr(getattr(cls, field, None), "short_description", None)
            setattr(cls, f"masked_{field}", _column(field, mask, own or gettext_lazy(field.replace("_", " "))))

    def get_list_display(self, request: HttpRequest) -> Any:
        return self._masked(request, super().get_list_display(request))  # type: ignore[misc]  # the admin's

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """What one adds one may type; what is there already one may not read."""
        fields = super().get_fields(request, obj)  # type: ignore[misc]
        return fields if obj is None else self._masked(request, fields)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = self._masked(request, super().get_readonly_fields(request, obj))  # type: ignore[misc]
        masked = [] if obj is None or may_reveal(request) else [f"masked_{field}" for field in self.personal]
        return [*fields, *(field for field in masked if field not in fields)]

    def get_search_fields(self, request: HttpRequest) -> Any:
        fields = super().get_search_fields(request)  # type: ignore[misc]
        if may_reveal(request):
            return fields
        return [f"={field}" if self._tells(field) and field[0] not in "=^@" else field for field in fields]

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> Any:
        whole = search_term if may_reveal(request) or '"' in search_term else f'"{search_term}"'
        return super().get_search_results(request, queryset, whole if search_term.strip() else "")  # type: ignore[misc]

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        told = self._tells(lookup) and not may_reveal(request)
        return not told and bool(super().lookup_allowed(lookup, value, request))  # type: ignore[misc]

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        with privacy.asked():  # the log is shown to others than the one who caused it
            return super().log_addition(request, obj, message)  # type: ignore[misc]

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        with privacy.asked():
            return super().log_change(request, obj, message)  # type: ignore[misc]

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        with privacy.asked():
            return super().log_deletions(request, queryset)  # type: ignore[misc]

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        with privacy.asked():
            return super().construct_change_message(request, form, formsets, add)  # type: ignore[misc]

    def _masked(self, request: HttpRequest, fields: Sequence[Any]) -> Sequence[Any]:
        if may_reveal(request):
            return fields
        return list(dict.fromkeys(f"masked_{field}" if field in self.personal else field for field in fields))

    def _tells(self, lookup: str) -> bool:
        first, *rest = lookup.lstrip("=^@").split("__")
        return first in self.personal or (first == "customer" and bool(rest) and rest[0] in OF_CUSTOMERS)


def _column(field: str, mask: Mask, label: Any) -> Any:
    @admin.display(description=label, empty_value="-")
    def column(self: Any, obj: Any) -> str:
        value = getattr(obj, field) if hasattr(obj, field) else getattr(self, field)(obj)
        return mask(str(value)) if value else ""

    return column
