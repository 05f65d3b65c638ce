"""What stands beside every page of the admin: all that there is, and of it what one may see."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from jobs.models import JobScope

pytestmark = pytest.mark.django_db
# Reached from the page of what they belong to, or about Celery tasks that are no jobs.
ELSEWHERE = {
    *("taskresult", "groupresult"),
    *("crontabschedule", "intervalschedule", "solarschedule", "clockedschedule"),
}
OF_ALL_JOBS = ("jobs_keylimit", "jobs_taskrate", "jobs_jobscope")


def beside(user: User) -> str:
    client = Client()
    client.force_login(user)
    page = client.get(reverse("admin:jobs_job_changelist")).content.decode()
    return page.split('id="nav-sidebar-apps"')[1].split('id="main"')[0]


def operator(*permissions: str) -> User:
    user = User.objects.create_user("olga", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_job", *permissions]))
    return user


def test_every_list_has_an_entry() -> None:
    shown = beside(User.objects.create_superuser("root"))
    lists = {
        model._meta.model_name: reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        for model in admin.site._registry
    }
    missing = {name for name, link in lists.items() if f'href="{link}"' not in shown}
    assert missing == ELSEWHERE & set(lists)


@pytest.mark.parametrize("name", ["bulkchange", "trial", "inboxitem", "providerevent", "clock", "accessattempt"])
def test_an_entry_is_for_those_who_may_see_its_list(name: str) -> None:
    link = next(
        reverse(f"admin:{model._meta.app_label}_{name}_changelist")
        for model in admin.site._registry
        if model._meta.model_name == name
    )
    user = operator()
    assert f'href="{link}"' not in beside(user)
    user.user_permissions.add(Permission.objects.get(codename=f"view_{name}"))
    assert f'href="{link}"' in beside(user)


@pytest.mark.parametrize("name", OF_ALL_JOBS)
def test_what_concerns_all_jobs_is_not_beside_the_pages_of_a_scope(name: str) -> None:
    link = f'href="{reverse(f"admin:{name}_changelist")}"'
    user = operator(f"view_{name.partition('_')[2]}")
    assert link in beside(user)
    JobScope.objects.create(user=user, queues=["messages"])
    assert link not in beside(user)
