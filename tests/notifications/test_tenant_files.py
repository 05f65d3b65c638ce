"""Files and commands of one tenant find its own rows only."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from jobs.models import Job
from notifications.models import Booking, Delivery, Payment
from tests.factories import DAY, alice, bob, make_booking
from tests.notifications.test_tenants import ONE, TWO, broken, jobs_of

pytestmark = pytest.mark.django_db
FILE = "external_id,customer_id,customer_name,customer_email,service,starts_at,duration_minutes,time_zone\n"
START = f"{timezone.now() + 5 * DAY:%Y-%m-%d}T10:00"
PAID = "external_id,customer_name,customer_email,subject,amount,currency,due_on,booking_external_id\n"


def imported(path: Path, *args: str, what: str = "bookings") -> str:
    out = StringIO()
    call_command(f"import_{what}", str(path), *args, stdout=out, stderr=out)
    return out.getvalue()


def test_a_file_of_a_tenant_finds_its_own_rows_only(tmp_path: Path) -> None:
    path = tmp_path / "bookings.csv"
    path.write_text(f"{FILE}B-1,C-1,Alice,alice@example.com,Haircut,{START},60,UTC\n")
    imported(path, "--tenant", ONE)
    ours = Booking.objects.get()
    path.write_text(f"{FILE}B-1,C-1,Eve,alice@example.com,Shave,{START},60,UTC\n")
    imported(path, "--tenant", TWO)
    ours.refresh_from_db()
    theirs = Booking.objects.exclude(pk=ours.pk).get()
    assert (ours.tenant, ours.service, ours.customer.name) == (ONE, "Haircut", "Alice")
    assert (theirs.tenant, theirs.service, theirs.customer.name, theirs.customer.tenant) == (TWO, "Shave", "Eve", TWO)
    assert jobs_of(theirs) == {TWO}
    assert "unchanged" in imported(path, "--tenant", TWO) and Booking.objects.count() == 2
    assert broken() == set()


def test_a_payment_of_a_file_is_for_a_booking_of_its_tenant(tmp_path: Path) -> None:
    make_booking(alice(tenant=TWO), external_id="B-1")
    path, due = tmp_path / "payments.csv", START[:10]
    path.write_text(f"{PAID}P-1,Alice,alice@example.com,Cut,45.50,EUR,{due},B-1\n")
    with pytest.raises(CommandError, match="1 bad row"):
        imported(path, "--tenant", ONE, what="payments")
    assert not Payment.objects.exists()
    imported(path, "--tenant", TWO, what="payments")
    assert Payment.objects.get().tenant == TWO


def test_the_reminders_of_one_tenant_can_be_planned_alone() -> None:
    for customer in (alice(tenant=ONE), bob(tenant=TWO)):
        make_booking(customer)
    Job.objects.all().delete()
    Delivery.objects.all().delete()
    call_command("schedule_reminders", "--tenant", ONE, stdout=StringIO())
    assert set(Delivery.objects.values_list("tenant", flat=True)) == {ONE}


@pytest.mark.parametrize("name", ["x" * 101, " one", "one\n"])
def test_a_name_that_no_tenant_has_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CommandError, match="a tenant has a name of at most 100 characters"):
        imported(tmp_path / "none.csv", f"--tenant={name}")
