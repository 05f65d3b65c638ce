"""What the theme does with a list, however many rows it has."""

from collections import Counter
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from unfold.templatetags import unfold_list

from jobs.admin.jobs import JobAdmin
from tests.factories import make_job

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("number", [1, 5])
def test_the_heads_of_a_list_are_made_once(client: Client, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    for _ in range(number):
        make_job()
    made: Counter[str] = Counter()
    label = unfold_list.label_for_field

    def counted(name: str, *args: Any, **kwargs: Any) -> Any:
        made[name] += 1
        return label(name, *args, **kwargs)

    monkeypatch.setattr(unfold_list, "label_for_field", counted)
    client.force_login(User.objects.create_superuser("root"))
    page = client.get(reverse("admin:jobs_job_changelist")).content.decode()
    assert page.count('data-label="state"') == number  # each row says it of itself, for phones
    assert set(made) >= set(JobAdmin.list_display) and set(made.values()) == {1}, made
