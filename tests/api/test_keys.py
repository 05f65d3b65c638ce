"""Keys: kept as digests, refused when they are over, rotated without a pause, and never more than their maker."""

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core import serializers
from django.core.management import CommandError, call_command
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from config import roles
from jobs.access import ApiKey
from jobs.api import keys
from jobs.models import JobScope
from tests.api.callers import Caller, program
from tests.factories import DAY, HOUR, make_job

pytestmark = pytest.mark.django_db


def code(caller: Caller) -> int:
    status: int = caller.ask("get", "jobs").status_code
    return status


def test_a_key_opens_what_its_scopes_say_and_nothing_else() -> None:
    assert code(program("jobs:read")) == 200
    assert code(program("queues:read")) == 403


def test_the_table_holds_no_key() -> None:
    row, whole = keys.issue("a program", ["jobs:read"])
    dumped = serializers.serialize("json", ApiKey.objects.all())
    assert whole not in dumped
    assert whole.removeprefix(row.prefix + "_") not in dumped


@pytest.mark.parametrize("wrong", ["", "pk_", "pk_0123456789_x", "ä" * 60, "x" * 5000, "pk_0123456789"])
def test_what_is_no_key_is_refused(wrong: str) -> None:
    assert code(Caller(wrong)) == 401


def test_a_key_with_one_letter_changed_is_refused() -> None:
    caller = program("jobs:read")
    caller.key = caller.key[:-1] + ("A" if caller.key[-1] != "A" else "B")
    assert code(caller) == 401


def test_a_revoked_key_is_refused_at_the_next_request() -> None:
    caller = program("jobs:read")
    assert code(caller) == 200
    assert keys.revoke(caller.row, by="olga")
    assert code(caller) == 401
    assert not keys.revoke(caller.row, by="olga")


def test_a_key_ends_when_it_was_said_to() -> None:
    assert code(program("jobs:read", expires_at=timezone.now() + HOUR)) == 200
    assert code(program("jobs:read", expires_at=timezone.now() - HOUR)) == 401


def test_a_rotated_key_goes_on_for_the_overlap_and_its_successor_may_the_same() -> None:
    old = program("jobs:read", tasks=["probe.ok"])
    made = keys.rotate(old.row, HOUR)
    assert made
    new = Caller(made[1], made[0])
    assert (code(old), code(new)) == (200, 200)
    assert (new.row.scopes, new.row.tasks, new.row.replaces_id) == (["jobs:read"], ["probe.ok"], old.row.pk)
    ApiKey.objects.filter(pk=old.row.pk).update(expires_at=Now() - timedelta(seconds=1))
    assert (code(old), code(new)) == (401, 200)
    assert keys.rotate(old.row, HOUR) is None


def test_rotating_never_lets_a_key_live_longer_than_it_was_given() -> None:
    caller = program("jobs:read", expires_at=timezone.now() + HOUR)
    made = keys.rotate(caller.row, 90 * DAY)
    assert made
    caller.row.refresh_from_db()
    assert caller.row.expires_at is not None
    assert caller.row.expires_at <= timezone.now() + HOUR
    assert made[0].expires_at is not None


def test_it_is_known_when_a_key_was_used_last() -> None:
    caller = program("jobs:read")
    code(caller)
    caller.row.refresh_from_db()
    assert caller.row.last_used_at is not None


def test_a_key_never_may_more_than_who_made_it() -> None:
    roles.install()
    olga = User.objects.create_user("olga", is_staff=True)
    olga.user_permissions.set(Permission.objects.filter(codename="view_job"))
    caller = program("jobs:read", "jobs:cancel", by=olga)
    job = make_job()
    assert code(caller) == 200
    assert caller.ask("delete", f"jobs/{job.pk}").status_code == 403
    olga.user_permissions.clear()
    assert code(caller) == 403


def test_a_key_of_somebody_who_has_left_opens_nothing() -> None:
    olga = User.objects.create_superuser("olga")
    caller = program("jobs:read", by=olga)
    User.objects.update(is_active=False)
    assert code(caller) == 403


def test_a_key_sees_what_both_it_and_its_maker_see() -> None:
    olga = User.objects.create_user("olga", is_staff=True)
    olga.user_permissions.set(Permission.objects.filter(codename="view_job"))
    JobScope.objects.create(user=olga, tenants=["north", "south"])
    for tenant in ("north", "south", "east", ""):
        make_job(tenant=tenant, correlation_id=tenant)
    mine = {one: program("jobs:read", by=olga, tenants=[one]).ask("get", "jobs").data for one in ("north", "east")}
    assert len(mine["north"]["items"]) == 1
    assert mine["east"]["items"] == []
    assert len(program("jobs:read", by=olga).ask("get", "jobs").data["items"]) == 2


# --- The admin --------------------------------------------------------------------------------------------------


def manager(name: str = "mara") -> tuple[User, Client]:
    roles.install()
    user = User.objects.create_user(name, is_staff=True)
    user.groups.set(Group.objects.filter(name="Manager"))
    client = Client()
    client.force_login(user)
    return user, client


def made(client: Client, **said: Any) -> Any:
    body = {"name": "site", "scopes": ["jobs:read"], "queues": "[]", "tasks": "[]", "tenants": "[]"} | said
    return client.post(reverse("admin:jobs_apikey_add"), body)


def test_a_key_that_is_made_in_the_admin_is_shown_once_and_works() -> None:
    user, client = manager()
    response = made(client)
    whole = response.context["whole"]
    assert whole in response.content.decode()
    assert "no-store" in response["Cache-Control"]
    assert "messages" not in client.cookies
    assert code(Caller(whole)) == 200
    row = ApiKey.objects.get()
    assert row.created_by == user
    for page in ("changelist", "change"):
        args = [row.pk] if page == "change" else []
        assert whole not in client.get(reverse(f"admin:jobs_apikey_{page}", args=args)).content.decode()


def test_nobody_gives_a_scope_that_he_has_not() -> None:
    _, client = manager()
    Group.objects.get(name="Manager").permissions.remove(Permission.objects.get(codename="cancel_job"))
    response = made(client, scopes=["jobs:cancel"])
    assert "jobs:cancel" in str(response.context["errors"])
    assert not ApiKey.objects.exists()


def test_a_key_is_rotated_and_revoked_in_the_admin() -> None:
    _, client = manager()
    old = Caller(made(client).context["whole"])
    row = ApiKey.objects.get()
    rotated = client.post(reverse("admin:jobs_apikey_do", args=[row.pk, "rotate"]), {"hours": 1})
    assert code(Caller(rotated.context["whole"])) == 200
    assert code(old) == 200
    client.post(reverse("admin:jobs_apikey_do", args=[row.pk, "revoke"]), {"_confirmed": "1"})
    assert code(old) == 401


def test_an_operator_makes_no_keys() -> None:
    user, client = manager()
    user.groups.set(Group.objects.filter(name="Operator"))
    assert made(client).status_code == 403


# --- The command ------------------------------------------------------------------------------------------------


def run(*words: str) -> str:
    out = StringIO()
    call_command("api_key", *words, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_the_command_prints_the_key_alone_and_lists_rotates_and_revokes() -> None:
    caller = Caller(run("make", "site", "jobs:read", "--task", "probe.ok").strip())
    assert code(caller) == 200
    prefix = ApiKey.objects.get().prefix
    assert prefix in run("list")
    assert caller.key not in run("list")
    assert code(Caller(run("rotate", prefix).strip())) == 200
    run("revoke", prefix)
    assert code(caller) == 401


@pytest.mark.parametrize(
    "words",
    [
        ("make", "site", "jobs:fly"),
        ("make", "site", "jobs:read", "--user", "nobody"),
        ("make", "site", "jobs:read", "--days", "0"),
        ("revoke", "pk_none"),
        ("rotate", "pk_none"),
    ],
)
def test_the_command_says_what_is_wrong(words: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        run(*words)
