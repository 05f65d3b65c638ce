"""What PostgreSQL is told about the busy tables, and that a heartbeat writes to no index."""

import pytest
from django.core.management import call_command
from django.db import connection

from jobs import holding
from tests.factories import make_job

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no such settings"),
]


def ask(statement: str, *values: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall()


@pytest.mark.parametrize("table", ["jobs_job", "notifications_delivery"])
def test_busy_tables_are_vacuumed_early_and_have_room_on_their_pages(table: str) -> None:
    ((options,),) = ask("SELECT reloptions FROM pg_class WHERE relname = %s", table)
    assert isinstance(options, list)
    assert {"fillfactor=70", "autovacuum_vacuum_scale_factor=0.01", "autovacuum_vacuum_threshold=1000"} <= set(options)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_the_settings_can_be_taken_back() -> None:
    call_command("migrate", "notifications", "0002", verbosity=0)
    ((options,),) = ask("SELECT reloptions FROM pg_class WHERE relname = 'notifications_delivery'")
    call_command("migrate", "notifications", verbosity=0)
    assert options is None


def test_a_heartbeat_is_an_update_in_place() -> None:
    held = [make_job("running", worker="me:1").pk for _ in range(3)]
    counted = "SELECT pg_stat_get_xact_tuples_hot_updated('jobs_job'::regclass)"
    ((before,),) = ask(counted)
    assert holding.beat(held, "me:1") == 3
    ((after,),) = ask(counted)
    assert isinstance(before, int) and after == before + 3
