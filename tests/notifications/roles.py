"""Roles, whose rows they see, and a browser signed in as each."""

from django.contrib.auth.models import Group, User
from django.test import Client

from config import roles
from jobs.models import JobScope

ROLES = ("nobody", "Viewer", "Operator", "Manager")
OPERATOR, MANAGER = ("Operator", "Manager"), ("Manager",)
SEES: dict[str, list[str] | None] = {"all": None, "its own": ["one"], "another": ["two"]}
VIEWER = ROLES[1:]


def client_of(role: str, sees: str = "all") -> Client:
    roles.install()
    user = User.objects.create_user(role.lower(), is_staff=True)
    user.groups.set(Group.objects.filter(name=role))
    if (tenants := SEES[sees]) is not None:
        JobScope.objects.create(user=user, tenants=tenants)
    client = Client()
    client.force_login(user)
    return client


def expected(role: str, sees: str, allowed: tuple[str, ...], fine: int) -> int:
    return 403 if role not in allowed else 404 if sees == "another" else fine
