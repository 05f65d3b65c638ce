"""What the tests ask on the database and the broker of a stack: `Scene.ask("book", 60, 6)`.

Or in a process with the environment of the stack: `python -m tests.faults.scene book 60 6`, which answers in JSON.
"""

import json
import os
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import django

LATER = timedelta(minutes=10)


def book(many: int, seconds: float) -> object:
    """Bookings whose 15-minute reminders fall due one after the other within `seconds` from now."""
    from django.db import transaction
    from django.db.models import F
    from django.utils import timezone

    from jobs.models import Job
    from notifications import bookings
    from notifications.models import Customer, Delivery, ReminderRule

    ReminderRule.objects.update(quiet_from=None, quiet_until=None)  # it may be three in the morning
    # Booking takes as long as it takes; a reminder that is due before its booking is made is skipped. So they are made
    # for later, and then moved to now, all at once.
    known, first = set(Delivery.objects.values_list("pk", flat=True)), timezone.now() + timedelta(minutes=15) + LATER
    for n in range(many):
        customer = Customer.objects.create(name=f"Customer {n}", email=f"c{n}@example.com")
        starts_at = first + timedelta(seconds=seconds * n / many)
        ends_at = starts_at + timedelta(hours=1)
        bookings.book(customer=customer, service=f"Service {n}", starts_at=starts_at, ends_at=ends_at)
    with transaction.atomic():
        made = set(Delivery.objects.filter(state="planned").values_list("pk", flat=True)) - known
        assert len(made) == many
        early = first - timedelta(minutes=15) - timezone.now() - timedelta(seconds=1)
        Delivery.objects.filter(pk__in=made).update(send_at=F("send_at") - early)
        Job.objects.filter(pk__in=made).update(run_at=F("run_at") - early)
    return many


def report() -> object:
    """Every delivery that was meant to go out: its id, recipient, state and detail."""
    from notifications.models import Delivery

    rows = Delivery.objects.exclude(reason="lead_time_past").values_list("pk", "customer__email", "state", "detail")
    return [(str(pk), *rest) for pk, *rest in rows]


def jobs() -> object:
    """How many jobs of each task are in each state, and the most attempts any of them took."""
    from django.db.models import Count, Max

    from jobs.models import Job

    rows = Job.objects.filter(task="notifications.deliver").values_list("state").annotate(Count("pk"), Max("token"))
    return list(rows)


def slow(many: int, seconds: float, batch: bool = False, gate: str = "") -> object:
    """Jobs that take so long, once the file `gate` is there. For stacks with tests.faults.slow_settings."""
    from tests.faults import slow

    task = slow.slow_one_of_many if batch else slow.slow
    values = (seconds, gate) if gate else (seconds,)
    return [str(pk) for pk in task.enqueue_many([values] * many, queue="messages")]


def customers(many: int) -> object:
    from notifications.models import Customer

    rows = (Customer(name=f"Customer {n}", email=f"c{n}@example.com", locale="de") for n in range(many))
    Customer.objects.bulk_create(rows, batch_size=5_000)
    return many


def export(form: str, like: str = "") -> object:
    """Ask for all customers as a file; `like`: as if it had been asked for when that one was. Returns its id."""
    from jobs.files import Export
    from jobs.library import exports, people

    operator = people.Person("Olga", lambda permission: True)
    made = exports.ask(exports.Wanted(source="customers", format=form), operator)  # type: ignore[arg-type]
    for other in Export.objects.filter(pk=like) if like else ():
        Export.objects.filter(pk=made.pk).update(asked_at=other.asked_at)
    return str(made.pk)


def exported(pk: str) -> object:
    """The sum, size and rows of an export's file, and how many attempts it took; None until it is there."""
    from jobs.files import Export
    from jobs.models import Job

    for made in Export.objects.filter(pk=pk, file__isnull=False).select_related("file"):
        assert made.file is not None
        return made.file.sha256, made.file.size, made.rows, Job.objects.get(pk=pk).token
    return None


def files() -> object:
    """Jobs on files that attack, each followed by one on a good picture. Returns ids, and what each has to become."""
    import io

    from jobs.library import pictures, storage, texts
    from tests.library import hostile

    made = []
    for name in ("a pixel bomb", "a zip bomb", "a page with very much to do", "a billion laughs"):
        make, _says = (hostile.PICTURES | hostile.DOCUMENTS)[name]
        bad = storage.keep(io.BytesIO(make()), "bad", "application/octet-stream")
        good = storage.keep(io.BytesIO(hostile.picture()), "good.png", "image/png")
        steps: Any = [{"do": "thumbnail"}]
        task = (
            pictures.change_picture.delay(bad.pk, steps)
            if name in hostile.PICTURES
            else texts.extract_text.delay(bad.pk)
        )
        made += [(task.id, "failed"), (pictures.change_picture.delay(good.pk, steps).id, "succeeded")]
    return made


def states(ids: list[str]) -> object:
    from jobs.models import Job

    return {str(job.pk): (job.state, job.token) for job in Job.objects.filter(pk__in=ids)}


def former(many: int) -> object:
    """Customers whose only booking was long ago, one who owes something, and a job that forgets. Returns its id."""
    from django.utils import timezone

    from config import retention
    from jobs.library import clean_up
    from notifications.models import Booking, Customer, Payment

    customers(many)
    then, day = timezone.now() - timedelta(days=800), timedelta(days=1)
    for one in Customer.objects.filter(name="Customer 0"):
        Payment.objects.create(
            customer=one, subject="Cut", amount=1, currency="EUR", due_on=then.date(), created_at=then
        )
    visit = {"service": "Cut", "starts_at": then, "ends_at": then + day, "created_at": then, "status": "completed"}
    visit |= {"wall_date": then.date(), "wall_time": then.time(), "time_zone": "UTC"}
    ids = Customer.objects.values_list("pk", flat=True)
    Booking.objects.bulk_create([Booking(customer_id=pk, **visit) for pk in ids], batch_size=5_000)
    wanted = retention.daily("personal_data", 365)["kwargs"]
    return clean_up.clean_up.apply_async(kwargs=wanted, countdown=1).id  # when whoever asked is there to watch


def known() -> object:
    """The names of customers that there are, and how many have each."""
    from collections import Counter

    from notifications.models import Customer

    return Counter(Customer.objects.values_list("name", flat=True))


def shrink(processes: int) -> object:
    """Flower's button, where there is one worker: its answer is waited for, and no longer."""
    from celery import current_app

    return current_app.control.pool_shrink(processes, reply=True, timeout=180, limit=1)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    name, *words = sys.argv[1:]
    asked: list[Callable[..., object]] = [book, report, jobs, slow, customers, export, exported, files, states, shrink]
    asked += [former, known]
    print(json.dumps({ask.__name__: ask for ask in asked}[name](*[json.loads(word) for word in words])))
