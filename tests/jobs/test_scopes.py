"""Who may do what with which jobs: every role, every action, jobs within and outside of what one may see."""

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from config import roles
from jobs import scopes
from jobs.admin.verbs import ordering
from jobs.models import Job, JobEvent, JobScope, Order, Pause, Queue, QueueWorker
from tests.factories import DAY, make_job

pytestmark = pytest.mark.django_db

OK, MOVED, REFUSED, NONE, LOGIN = 200, 302, 403, 404, 302
ACTIONS = ("list", "page", "live", "cancel", "retry", "run_now", "postpone", "reprioritise", "errors")
QUEUE_ACTIONS = ("queue", "pause", "scale")
MAY = {
    "nobody": dict.fromkeys((*ACTIONS, *QUEUE_ACTIONS), LOGIN),
    "staff": dict.fromkeys((*ACTIONS, *QUEUE_ACTIONS), REFUSED),
    "Viewer": dict.fromkeys((*ACTIONS, *QUEUE_ACTIONS), REFUSED)
    | dict.fromkeys(("list", "page", "live", "errors", "queue"), OK),
    "Operator": dict.fromkeys((*ACTIONS, *QUEUE_ACTIONS), OK) | {"scale": REFUSED},
    "Manager": dict.fromkeys((*ACTIONS, *QUEUE_ACTIONS), OK),
    "superuser": dict.fromkeys((*ACTIONS, *QUEUE_ACTIONS), OK),
}


def person(role: str) -> User:
    roles.install()
    user = User.objects.create_user(role.lower(), is_staff=role != "nobody", is_superuser=role == "superuser")
    user.groups.set(Group.objects.filter(name=role))
    return user


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def ask(client: Client, action: str, job: Job) -> int:
    """The code of what a person meets who tries it. A POST that is taken leads on: that is told as 200."""
    if action == "list":
        return client.get(reverse("admin:jobs_job_changelist")).status_code
    if action == "errors":
        return client.get(reverse("admin:jobs_job_errors")).status_code
    if action == "page":
        return client.get(reverse("admin:jobs_job_change", args=[job.pk])).status_code
    if action == "live":
        return client.get(reverse("admin:jobs_job_live", args=[job.pk])).status_code
    if action == "queue":
        return client.get(reverse("admin:jobs_queue_change", args=[job.queue])).status_code
    if action == "scale":
        said = {"step": "grow", "reason": "newsletter"}
        return taken(client, reverse("admin:jobs_queue_scale", args=[job.queue]), said, "jobs_queue_change")
    if action == "pause":
        pausing: Any = {"action": "pause", "_selected_action": [job.queue], "_confirm": "1", "reason": "flood"}
        code = client.post(reverse("admin:jobs_queue_changelist"), pausing).status_code
        if code == 302 and not _anonymous(client):
            return OK if Pause.objects.exists() else REFUSED
        return REFUSED if code == 200 and not Pause.objects.exists() else code  # the list, which has no such action
    return client.get(ordering(action, {"ids": job.pk})).status_code


def taken(client: Client, url: str, said: dict[str, Any], to: str) -> int:
    answer = client.post(url, said)
    return OK if answer.status_code == 302 and "login" not in answer["Location"] else answer.status_code


def _anonymous(client: Client) -> bool:
    return client.get(reverse("admin:index")).status_code == 302


@pytest.mark.parametrize("action", [*ACTIONS, *QUEUE_ACTIONS])
@pytest.mark.parametrize("role", MAY)
def test_each_role_may_what_the_table_says(role: str, action: str) -> None:
    Queue.objects.create(name="default")
    QueueWorker.objects.create(queue="default", worker="a@b", processes=2, scalable=True, seen_at="2020-01-01T00:00Z")
    Queue.objects.update(desired_processes=2)
    assert ask(client_of(person(role)), action, make_job(due=DAY)) == MAY[role][action]


OUTSIDE = [{"queue": "messages"}, {"tenant": "b"}, {"queue": "messages", "tenant": "b"}]
LIMITS = [{"queues": ["default"]}, {"tenants": ["a"]}, {"queues": ["default"], "tenants": ["a"]}]


@pytest.fixture(params=range(3), ids=["a queue", "a tenant", "a tenant of a queue"])
def scoped(request: pytest.FixtureRequest) -> tuple[Client, Job, Job]:
    """An operator with a scope, a job within, and one outside of it."""
    for name in ("default", "messages"):
        Queue.objects.create(name=name)
    user = person("Operator")
    JobScope.objects.create(user=user, **LIMITS[request.param])
    usual: dict[str, Any] = {"due": DAY, "queue": "default", "tenant": "a"}
    return client_of(user), make_job(**usual), make_job(**usual | OUTSIDE[request.param])


@pytest.mark.parametrize("action", ["page", "live"])
def test_what_is_outside_is_not_there(scoped: tuple[Client, Job, Job], action: str) -> None:
    client, inside, outside = scoped
    assert ask(client, action, inside) == OK
    assert ask(client, action, outside) == (NONE if action == "live" else MOVED)  # the admin's way: to its first page


def test_the_list_shows_what_is_within(scoped: tuple[Client, Job, Job]) -> None:
    client, inside, outside = scoped
    page = client.get(reverse("admin:jobs_job_changelist")).content.decode()
    assert str(inside.pk) in page and str(outside.pk) not in page
    found = client.get(reverse("admin:jobs_job_changelist"), {"q": str(outside.pk)}).content.decode()
    assert reverse("admin:jobs_job_change", args=[outside.pk]) not in found


@pytest.mark.parametrize("verb", Order.Verb.values)
def test_an_order_by_id_and_by_filter_reaches_only_what_is_within(scoped: tuple[Client, Job, Job], verb: str) -> None:
    client, inside, outside = scoped
    Job.objects.update(state="failed" if verb == "retry" else "scheduled")
    before = Job.objects.filter(pk=outside.pk).values().get()
    for asked in ({"ids": f"{inside.pk},{outside.pk}"}, {"task": "probe.ok"}):
        url = ordering(verb, asked)
        page = client.get(url)
        assert int(page.context["total"]) <= 1
        said = {"reason": "why not", "_seen": page.context["token"], "minutes": "5", "priority": "10"}
        client.post(url, said)
    assert JobEvent.objects.exists() and set(JobEvent.objects.values_list("job", flat=True)) == {inside.pk}
    assert Job.objects.filter(pk=outside.pk).values().get() == before


def test_who_has_some_tenants_of_a_queue_does_not_stop_it_for_the_others() -> None:
    user = person("Manager")
    JobScope.objects.create(user=user, queues=["default"], tenants=["a"])
    Queue.objects.create(name="default")
    client, job = client_of(user), make_job(tenant="a")
    assert ask(client, "queue", job) == OK
    assert ask(client, "pause", job) == REFUSED and ask(client, "scale", job) == REFUSED
    assert not Pause.objects.exists()
    said = {"kind": "queue", "name": "default", "reason": "x"}
    assert client.post(reverse("admin:jobs_pause_add"), said).status_code == REFUSED
    assert not Pause.objects.exists()


def test_who_has_a_queue_pauses_it_and_sees_no_other() -> None:
    user = person("Operator")
    JobScope.objects.create(user=user, queues=["default"])
    for name in ("default", "messages"):
        Queue.objects.create(name=name)
        Pause.objects.create(kind="queue", name=name, by="x", reason=f"of {name}")
    client = client_of(user)
    for url in ("admin:jobs_queue_changelist", "admin:jobs_pause_changelist"):
        page = client.get(reverse(url)).content.decode()
        assert "of default" in page and "of messages" not in page
    assert client.get(reverse("admin:jobs_queue_live", args=["messages"])).status_code == NONE


def test_scopes_of_groups_and_of_the_user_add_up() -> None:
    user = person("Viewer")
    JobScope.objects.create(user=user, queues=["default"])
    JobScope.objects.create(group=user.groups.get(), tenants=["a"])
    make_job(), make_job(queue="messages"), make_job(queue="messages", tenant="a")
    assert scopes.of(user).rows(Job.objects.all()).count() == 2
    assert scopes.of(User.objects.create_user("other")).rows(Job.objects.all()).count() == 3
    JobScope.objects.create(user=(root := person("superuser")), queues=["default"])
    assert scopes.of(root).rows(Job.objects.all()).count() == 3


def test_who_sees_some_jobs_sees_his_own_orders_only() -> None:
    user = person("Operator")
    JobScope.objects.create(user=user, queues=["default"])
    common = {"verb": "cancel", "filters": {}, "reason": "x", "asked_at": "2020-01-01T00:00Z", "total": 0}
    mine, other = (Order.objects.create(by=by, **common) for by in (user.username, "maria"))
    client = client_of(user)
    assert client.get(reverse("admin:jobs_order_live", args=[mine.pk])).status_code == OK
    assert client.get(reverse("admin:jobs_order_live", args=[other.pk])).status_code == NONE
    assert client.post(reverse("admin:jobs_order_call_off", args=[other.pk])).status_code == NONE


def test_a_scope_is_of_one_and_holds_lists_of_names() -> None:
    client, url = client_of(person("superuser")), reverse("admin:jobs_jobscope_add")
    user = User.objects.create_user("other")
    group = Group.objects.get(name="Viewer")
    for said in (
        {"user": user.pk, "queues": '"default"', "tenants": "[]"},
        {"user": user.pk, "queues": "[1]", "tenants": "[]"},
        {"user": user.pk, "group": group.pk, "queues": "[]", "tenants": "[]"},
        {"queues": "[]", "tenants": "[]"},
    ):
        assert client.post(url, said).status_code == OK and not JobScope.objects.exists()
    assert client.post(url, {"user": user.pk, "queues": '["default"]', "tenants": "[]"}).status_code == MOVED
    assert scopes.of(user).limits == ((("default",), ()),)


GETS = ["cancel", "retry", "run_now", "postpone", "reprioritise"]


def test_looking_changes_nothing() -> None:
    """Every address of an action, asked for by GET, with all that its POST would need."""
    Queue.objects.create(name="default")
    job, failed = make_job(due=DAY), make_job("failed")
    order = Order.objects.create(verb="cancel", filters={}, reason="x", by="y", asked_at="2020-01-01T00:00Z", total=0)
    client = client_of(person("superuser"))
    before = (list(Job.objects.values()), list(Queue.objects.values()), list(Order.objects.values()))
    asked = [ordering(verb, {"ids": f"{job.pk},{failed.pk}", "reason": "x", "_confirm": "1"}) for verb in GETS]
    asked += [
        reverse("admin:jobs_queue_scale", args=["default"]) + "?step=grow&reason=x",
        reverse("admin:jobs_order_call_off", args=[order.pk]),
        reverse("admin:jobs_queue_changelist") + "?action=pause&_selected_action=default&_confirm=1&reason=x",
        reverse("admin:jobs_job_changelist") + f"?action=cancel&_selected_action={job.pk}",
    ]
    for url in asked:
        assert client.get(url).status_code in (200, 302, 400, 405), url
    assert (list(Job.objects.values()), list(Queue.objects.values()), list(Order.objects.values())) == before
    assert not Pause.objects.exists() and not JobEvent.objects.exists()
