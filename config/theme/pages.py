"""The classes that every page of the admin builds on: the theme's own, with the types of Django's.

The theme is untyped, but its classes are Django's with other templates and widgets.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from unfold import decorators

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin, StackedInline, TabularInline
    from django.contrib.admin.helpers import ActionForm
else:
    from unfold.admin import ModelAdmin, StackedInline, TabularInline
    from unfold.forms import ActionForm

__all__ = ["ActionForm", "ModelAdmin", "StackedInline", "TabularInline", "labelled"]

Column = TypeVar("Column", bound=Callable[..., Any])


def labelled(description: Any, looks: Mapping[Any, str], ordering: str | None = None) -> Callable[[Column], Column]:
    """A column that returns (value, words), shown as one of the theme's labels: `looks` by value."""
    made: Callable[[Column], Column] = decorators.display(description=description, ordering=ordering, label=dict(looks))
    return made
