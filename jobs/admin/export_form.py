"""What is asked of whoever wants an export: the format, the columns and the filters that the source allows.

Used by the page of exports. The promise: nothing is offered that the source does not name; a field is of its filter's
type, and is called as the admin calls it elsewhere.
"""

from datetime import date
from typing import Any, Literal, get_args, get_origin

from django import forms
from django.core.exceptions import FieldDoesNotExist
from django.utils.text import capfirst
from django.utils.translation import gettext as _, gettext_lazy
from pydantic import AwareDatetime

from config.theme.forms import Day, Moment, ThemedForm, dress
from jobs.files import Export
from jobs.library.exports import Wanted
from jobs.library.sources import Filter, Source

LARGEST = 2**63 - 1  # of a key
PREFIX = "filter_"
ENDS = {"gte": gettext_lazy("%s, from"), "lt": gettext_lazy("%s, before"), "lte": gettext_lazy("%s, until")}


class ExportForm(ThemedForm):
    format = forms.ChoiceField(label=gettext_lazy("Format"), choices=Export.Format.choices, initial=Export.Format.CSV)
    columns = forms.MultipleChoiceField(
        label=gettext_lazy("Columns"),
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("In brackets: what it is called in the file."),
    )

    def __init__(self, source: Source, data: Any = None) -> None:
        self.source = source
        super().__init__(data)
        columns: Any = self.fields["columns"]
        columns.choices = [(one.name, column_label(source, one.name)) for one in source.columns]
        columns.initial = [one.name for one in source.columns]
        model = source.rows().model
        for name, wanted in source.filters.items():
            field = field_of(model, wanted)
            field.label, field.required = filter_label(model, wanted), False
            dress(field.widget)
            self.fields[PREFIX + name] = field

    @property
    def narrowing(self) -> list[forms.BoundField]:
        """The filters."""
        return [self[PREFIX + name] for name in self.source.filters]

    @property
    def wanted(self) -> Wanted:
        said = {name: self.cleaned_data[PREFIX + name] for name in self.source.filters}
        return Wanted(
            source=self.source.name,
            format=Export.Format(self.cleaned_data["format"]),
            columns=self.cleaned_data["columns"],
            filters={name: value for name, value in said.items() if value not in (None, "")},
        )


def field_of(model: Any, wanted: Filter) -> forms.Field:
    if get_origin(wanted.type) is Literal:
        words = dict(model._meta.get_field(wanted.lookup).flatchoices)
        known = [(one, capfirst(str(words.get(one, one)))) for one in get_args(wanted.type)]
        return forms.ChoiceField(choices=[("", _("All")), *known])
    if wanted.type is int:
        return forms.IntegerField(min_value=0, max_value=LARGEST, help_text=_("its number"))
    if wanted.type is date:
        return forms.DateField(widget=Day())
    if wanted.type is AwareDatetime:
        return forms.SplitDateTimeField(widget=Moment())
    return forms.CharField(max_length=200)


def filter_label(model: Any, wanted: Filter) -> str:
    path, _cut, end = wanted.lookup.rpartition("__")
    if end not in ENDS:
        return named(model, wanted.lookup)
    return str(ENDS[end]) % named(model, path)


def column_label(source: Source, name: str) -> str:
    return f"{named(source.rows().model, source.by_name[name].path or name)} ({name})"


def named(model: Any, path: str) -> str:
    """As the model's own pages call it."""
    names = []
    for part in path.split("__"):
        try:
            field = model._meta.get_field(part)
        except FieldDoesNotExist:
            break
        names.append(str(field.verbose_name))
        model = field.related_model or model
    return capfirst(": ".join(names) or path)
