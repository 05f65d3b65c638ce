"""Rules in a file, as an owner would edit them: to be tried by `manage.py simulate`, never saved.

A JSON list of objects whose keys are the fields of `ReminderRule`. A rule of a stored one's name, and tenant, is that
one: fields that are not named stay as they are stored. The promise: the model's own checks decide, and whatever is
wrong is told all at once, with line and field.
"""

import json
from collections.abc import Iterator
from copy import copy
from datetime import time, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.dateparse import parse_duration
from django.utils.duration import duration_string
from django.utils.translation import gettext as _

from notifications.models import ReminderRule

FIELDS: dict[str, Any] = {field.name: field for field in ReminderRule._meta.concrete_fields if field.editable}
FIELDS = {name: field for name, field in FIELDS.items() if not field.primary_key}
LARGEST = 1_000_000  # characters
DECODER = json.JSONDecoder()


class BadRules(ValueError):
    """The file cannot be used; a line for each thing that is wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))


def read(text: str) -> list[ReminderRule]:
    """The rules of a file, checked and not saved. Raises BadRules."""
    problems: list[str] = []
    stored = {(rule.tenant, rule.name): rule for rule in ReminderRule.objects.all()}
    rules: dict[tuple[str, str], ReminderRule] = {}
    for line, source, given in _objects(text):
        if not isinstance(given, dict):
            problems.append(_at(line, _("a rule is an object: {…}, with at least its name.")))
            continue
        name = given.get("name")
        if not isinstance(name, str) or not name:
            problems.append(_at(line, _("a rule needs its name."), "name"))
            continue
        key = (str(given.get("tenant") or ""), name)
        if key in rules:
            problems.append(_at(line, _("there are two rules of the name “%s”.") % name, "name"))
            continue
        rules[key] = copy(stored[key]) if key in stored else ReminderRule()
        problems += _filled(rules[key], given, line, source)
    if problems:
        raise BadRules(problems)
    return list(rules.values())


def written(tenant: str | None = None) -> str:
    """The stored rules, or those that speak to a tenant, in the form that `read` reads, a field per line."""
    rules = ReminderRule.objects.all() if tenant is None else ReminderRule.objects.filter(tenant__in={"", tenant})
    return json.dumps([{name: _told(getattr(rule, name)) for name in FIELDS} for rule in rules], indent=2)


def _objects(text: str) -> Iterator[tuple[int, str, Any]]:
    """Line, text and value of each element of the list. Raises BadRules for what is no JSON, or no list."""
    if len(text) > LARGEST:
        raise BadRules([_("The file has more than a million characters; is it a file of rules?")])
    place = _skip(text, 0)
    try:
        whole, end = DECODER.raw_decode(text, place)
        if (rest := _skip(text, end)) < len(text):
            raise json.JSONDecodeError("Extra data", text, rest)
    except json.JSONDecodeError as exc:
        raise BadRules([_at(exc.lineno, _("this is no JSON: %s.") % exc.msg)]) from None
    except RecursionError:
        raise BadRules([_("The file is nested too deeply.")]) from None
    if not isinstance(whole, list):
        raise BadRules([_at(_line(text, place), _("the file has to be a list: [{…}, {…}]."))])
    place = _skip(text, place + 1)
    for _element in whole:
        value, end = DECODER.raw_decode(text, place)
        yield _line(text, place), text[place:end], value
        place = _skip(text, _skip(text, end) + 1)  # past the comma


def _skip(text: str, place: int) -> int:
    while place < len(text) and text[place] in " \t\r\n\ufeff":
        place += 1
    return place


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1


def _filled(rule: ReminderRule, given: dict[str, Any], line: int, source: str) -> list[str]:
    """Put what is given into the rule. Returns what is wrong with it."""
    problems, wrong = [], set()
    for name, value in given.items():
        here = line + _line(source, max(source.find(json.dumps(name)), 0)) - 1
        if name not in FIELDS:
            known = ", ".join(FIELDS)
            problems.append(_at(here, _("there is no such field. There are: %s.") % known, name))
            continue
        try:
            setattr(rule, name, FIELDS[name].clean(_typed(FIELDS[name], value), rule))
        except ValidationError as exc:
            wrong.add(name)
            problems += [_at(here, message, name) for message in exc.messages]
    unset = [name for name in FIELDS if name not in given and rule.pk is None]
    try:
        rule.clean_fields(exclude={name for name in FIELDS if name not in unset})
        if not wrong:
            rule.validate_constraints(exclude={"name"})
    except ValidationError as exc:
        told = exc.message_dict if hasattr(exc, "error_dict") else {"": exc.messages}
        for name, messages in told.items():
            problems += [_at(line, message, "" if name == "__all__" else name) for message in messages]
    return problems


def _typed(field: "models.Field[Any, Any]", value: Any) -> Any:
    """The value as the field takes it. Raises ValidationError where it would take a number for something else."""
    if value is None:
        return value
    if isinstance(field, models.DurationField):
        duration = parse_duration(value) if isinstance(value, str) else None
        if duration is None:
            raise ValidationError(_("a duration is a text such as “-24:00:00”, “3 00:00:00” (days) or “-P1D”."))
        return duration
    if isinstance(field, models.TimeField) and not isinstance(value, str):
        raise ValidationError(_("a time of day is a text such as “18:00”."))
    if isinstance(field, models.BooleanField) and not isinstance(value, bool):
        raise ValidationError(_("it is true or false."))
    if isinstance(field, models.IntegerField) and (isinstance(value, bool) or not isinstance(value, int)):
        raise ValidationError(_("it is a whole number."))
    if isinstance(field, models.CharField) and not isinstance(value, str):
        raise ValidationError(_("it is a text."))
    return value


def _at(line: int, problem: str, field: str = "") -> str:
    return _("line %(line)s%(field)s: %(problem)s") % {
        "line": line,
        "field": f", {field}" if field else "",
        "problem": problem,
    }


def _told(value: Any) -> Any:
    if isinstance(value, timedelta):
        return duration_string(value)
    return value.isoformat() if isinstance(value, time) else value
