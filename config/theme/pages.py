"""The classes that every page of the admin builds on: the theme's own, with the types of Django's.

The theme is untyped, but its classes are Django's with other templates and widgets.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from django.http import HttpRequest
from unfold import decorators
from unfold.templatetags import unfold_list
from unfold.views import ChangeList

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin, StackedInline, TabularInline
    from django.contrib.admin.helpers import ActionForm
else:
    from unfold.admin import ModelAdmin as TheirModelAdmin, StackedInline, TabularInline
    from unfold.forms import ActionForm

    class ModelAdmin(TheirModelAdmin):
        def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
            return Rows


def _once(made: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    """The theme makes the heads of a list anew for each of its rows, which took a fifth of the page's time."""

    def heads(rows: Any) -> list[Any]:
        if "heads" not in vars(rows):
            rows.heads = list(made(rows))
        return list(rows.heads)

    return heads


unfold_list.result_headers = _once(unfold_list.result_headers)


class Rows(ChangeList):  # type: ignore[misc]  # untyped
    """The theme says "n results (show all)" of a list that did not count all rows, also where all are shown."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.unnarrowed()

    @property
    def narrowed(self) -> bool:
        return bool(self.query or self.get_filters_params())

    def unnarrowed(self) -> None:
        if not self.narrowed:
            self.full_result_count = self.result_count


__all__ = ["ActionForm", "ModelAdmin", "Rows", "StackedInline", "TabularInline", "labelled"]

Column = TypeVar("Column", bound=Callable[..., Any])


def labelled(description: Any, looks: Mapping[Any, str], ordering: str | None = None) -> Callable[[Column], Column]:
    """A column that returns (value, words), shown as one of the theme's labels: `looks` by value."""
    made: Callable[[Column], Column] = decorators.display(description=description, ordering=ordering, label=dict(looks))
    return made
