"""A practice with a million deliveries, made by the database itself: for the benches that ask it questions.

`fill` makes two of three bookings over and their reminders sent; the others and theirs wait. No promise is broken.
`a_day` lets a day of work be among them. Call them when Django is ready, see `bench.database`.
"""

from datetime import UTC, datetime, timedelta

DAYS, OVER = 900, 600  # the bookings of so many days, so many of which are over
ZONES = ("Europe/Berlin", "Europe/London", "Europe/Helsinki")
MIDNIGHT = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
OVERDUE, FAILED, QUEUED = 15_000, 20_000, 400  # jobs, on a day


def fill(number: int) -> None:
    from django.db import connection

    from bench.rows import copies
    from notifications.models import Booking, Consent, Customer, Payment

    people, bookings, payments = max(number // 20, 10), number * 9 // 30, number // 50
    zone = " ".join(f"WHEN {n} THEN '{name}'" for n, name in enumerate(ZONES))
    copies(Customer(name="C"), people, id="i", email="'c' || i || '@example.com'", time_zone=f"CASE i %% 3 {zone} END")
    no = Consent(channel="email", granted=False, changed_at=datetime.now(UTC))
    copies(no, people // 10, id="i", customer_id="i * 10")
    then = MIDNIGHT - timedelta(days=700)
    starts, booked = moment(start("i")), f"{day('i')} > 0"
    copies(
        Booking(service="Haircut", wall_date=then, wall_time=then.time(), time_zone="UTC", created_at=then),
        bookings,
        id="i",
        customer_id=f"i %% {people} + 1",
        starts_at=starts,
        ends_at=moment(f"{start('i')} + 3600"),
        status=f"CASE WHEN {booked} THEN 'booked' WHEN i %% 20 = 0 THEN 'cancelled' ELSE 'completed' END",
        closed_at=f"CASE WHEN {booked} THEN NULL WHEN i %% 20 = 0 THEN {moment(start('i') + ' - 259200')} "
        f"ELSE {moment(start('i') + ' + 3600')} END",
    )
    copies(
        Payment(subject="Haircut", amount=1250, currency="EUR", time_zone="UTC", created_at=then),
        payments,
        id="i",
        customer_id=f"i %% {people} + 1",
        due_on=moment(f"{day('i')} * 86400", only_date=True),
        status=f"CASE WHEN {booked} THEN 'open' ELSE 'paid' END",
        paid_amount=f"CASE WHEN {booked} THEN 0 ELSE 1250 END",
        closed_at=f"CASE WHEN {booked} THEN NULL ELSE {moment(day('i') + ' * 86400 + 43200')} END",
    )
    deliveries(bookings, payments, people)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")


def deliveries(bookings: int, payments: int, people: int) -> None:
    from bench.rows import copies
    from jobs.models import Job
    from notifications.models import Delivery, ReminderRule

    rules = ReminderRule.objects.filter(active=True)
    template = Delivery(channel="email", revision=1, created_at=MIDNIGHT - timedelta(days=650))
    before = list(rules.filter(anchor="booking_start").order_by("offset"))
    b, rule = "((i - 1) / 3 + 1)", "i %% 3"  # 1: the first rule
    ahead = f"CASE {rule} WHEN 1 THEN 86400 WHEN 2 THEN 3600 ELSE 900 END"
    useful = f"CASE {rule} WHEN 1 THEN 79200 WHEN 2 THEN 2400 ELSE 900 END"
    send_at = f"{start(b)} - {ahead}"
    over, cancelled = f"{day(b)} <= 0", f"{b} %% 20 = 0"
    copies(
        template,
        bookings * 3,
        id=identity("i"),
        rule_id=f"CASE {rule} WHEN 1 THEN {before[0].pk} WHEN 2 THEN {before[1].pk} ELSE {before[2].pk} END",
        booking_id=b,
        customer_id=f"{b} %% {people} + 1",
        **fates(send_at, useful, over, cancelled, "cancelled"),
    )
    around, n = list(rules.filter(anchor="payment_due").order_by("offset")), "((i - 1) %% 5)"
    p = "((i - 1) / 5 + 1)"
    days = " ".join(f"WHEN {n} THEN {rule.offset.days}" for n, rule in enumerate(around))
    send_at = f"({day(p)} + CASE {n} {days} END) * 86400 + 32400"
    copies(
        template,
        payments * 5,
        id=identity(f"i + {bookings * 3}"),
        rule_id=f"CASE {n} {' '.join(f'WHEN {n} THEN {rule.pk}' for n, rule in enumerate(around))} END",
        payment_id=p,
        customer_id=f"{p} %% {people} + 1",
        **fates(send_at, "86400", f"{day(p)} <= 0", f"{n} > 1", "paid"),
    )
    copies(
        Job(task="notifications.deliver", queue="messages", created_at=template.created_at),
        source="notifications_delivery",
        id="id",
        run_at="send_at",
        finished_at="sent_at",
        token="CASE state WHEN 'sent' THEN 1 ELSE 0 END",
        state="CASE state WHEN 'sent' THEN 'succeeded' WHEN 'planned' THEN 'scheduled' ELSE 'cancelled' END",
    )


def fates(send_at: str, useful: str, over: str, silent: str, reason: str) -> dict[str, str]:
    """What became of deliveries: over and not silent ones were sent two seconds after their time."""
    sent = f"{over} AND NOT ({silent})"
    return {
        "send_at": moment(send_at),
        "useful_until": moment(f"{send_at} + {useful}"),
        "state": f"CASE WHEN {sent} THEN 'sent' WHEN {over} THEN 'skipped' ELSE 'planned' END",
        "reason": f"CASE WHEN {over} AND {silent} THEN '{reason}' ELSE '' END",
        "intent_at": f"CASE WHEN {sent} THEN {moment(send_at + ' + 2')} END",
        "sent_at": f"CASE WHEN {sent} THEN {moment(send_at + ' + 3')} END",
        "provider_id": f"CASE WHEN {sent} THEN 'id-' || {identity('i')} || '{reason}' ELSE '' END",
        "token": f"CASE WHEN {sent} THEN 1 END",
    }


def a_day(number: int) -> None:
    """Sent today: one of twenty. In the next two days: one of ten. Beside it what is due, held and failed."""
    from django.utils import timezone

    from bench.rows import copies
    from jobs.models import Job, Queue, QueueWorker

    now = timezone.now()
    some = "id IN (SELECT id FROM notifications_delivery WHERE state = '{}' LIMIT {})"
    went, stayed = some.format("sent", number // 20), some.format("skipped", number // 100)
    run(f"UPDATE notifications_delivery SET send_at = {moment(among(600))} WHERE {went} OR {stayed}")
    of_today = f"state = 'sent' AND send_at >= {moment('0')}"
    run(f"UPDATE notifications_delivery SET sent_at = {later('send_at', among(9))} WHERE {of_today}")
    planned = some.format("planned", number // 10)
    run(f"UPDATE jobs_job SET run_at = {later('', among(48 * 3600))} WHERE {planned}")
    job = {"task": "notifications.deliver", "queue": "messages", "run_at": now, "created_at": now}
    over = later("", "-3600 - i")
    copies(Job(**job), OVERDUE, seconds="-60 - i")
    copies(Job(**job, state="failed", reason="ConnectionError: refused"), FAILED, finished_at=over)
    took = {"started_at": later("", "-3601 - i"), "finished_at": over}
    copies(Job(**job, state="succeeded", token=1), 2_000, **took)
    copies(Job(**job, state="queued", lease_until=now), QUEUED)
    Queue.objects.bulk_create([Queue(name=name) for name in ("default", "messages")], ignore_conflicts=True)
    QueueWorker.objects.create(queue="messages", worker="one@here", processes=4, scalable=True, seen_at=now)
    run("VACUUM ANALYZE" if vendor() == "postgresql" else "ANALYZE")


def papers(number: int) -> None:
    """Files, exports that are done, and reports with a mail each: as many of each, of one person."""
    from django.contrib.auth.models import User

    from bench.rows import copies
    from jobs.models import Export, StoredFile
    from notifications.models import Report, ReportMail

    who, then = User.objects.create_user("asker"), MIDNIGHT - timedelta(days=90)
    file = StoredFile(name="bookings.csv", content_type="text/csv", size=1_000, sha256="0" * 64, owner=who)
    file.created_at = then
    copies(file, number, id=identity("i"), personal="i %% 2 = 0")
    done = Export(source="bookings", format="csv", columns=["id"], by="asker", user=who, asked_at=then, rows=9)
    done.finished_at = then
    copies(done, number, id=identity("i"), file_id=identity("i"))
    report = Report(kind="week", first_day=then.date(), zone="UTC", language="en", by="asker", counted_at=then)
    copies(report, number, id=identity("i"), job_id=identity("i"), tenant="'t' || i")
    mail = ReportMail(user=who, intent_at=then, sent_at=then)
    in_doubt = "CASE i %% 1000 WHEN 0 THEN 'in_doubt' ELSE 'sent' END"
    copies(mail, number, id=identity("i"), report_id=identity("i"), state=in_doubt)
    run("VACUUM ANALYZE" if vendor() == "postgresql" else "ANALYZE")


# --- SQL: i is the number of a row ---------------------------------------------------------------------


def day(i: str) -> str:
    """How many days from today the anchor is: none today or tomorrow, so that nothing falls due meanwhile."""
    return f"(({i}) %% {DAYS} - {OVER} + CASE WHEN ({i}) %% {DAYS} >= {OVER} THEN 20 ELSE -20 END)"


def start(i: str) -> str:
    """When a booking starts, in seconds from last midnight: by day, in all of the zones."""
    return f"({day(i)} * 86400 + (10 + ({i}) / {DAYS} %% 8) * 3600)"


def moment(seconds: str, *, only_date: bool = False) -> str:
    from django.db import connection

    if connection.vendor == "postgresql":
        at = f"(timestamptz '{MIDNIGHT:%Y-%m-%d} 00:00+00' + ({seconds}) * interval '1 second')"
        return f"({at} AT TIME ZONE 'UTC')::date" if only_date else at
    form = "%%Y-%%m-%%d" if only_date else "%%Y-%%m-%%d %%H:%%M:%%S"
    return f"strftime('{form}', '{MIDNIGHT:%Y-%m-%d}', ({seconds}) || ' seconds')"


def identity(i: str) -> str:
    from django.db import connection

    if connection.vendor == "postgresql":
        return f"lpad(to_hex({i}), 32, '0')::uuid"
    return f"printf('%%032x', {i})"


def vendor() -> str:
    from django.db import connection

    return connection.vendor


def run(sql: str) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(sql, [])


def among(number: int) -> str:
    """A whole number below it, another for each row."""
    if vendor() == "postgresql":
        return f"floor(random() * {number})::int"
    return f"(abs(random()) %% {number})"


def later(column: str, seconds: str) -> str:
    """So many seconds after a column, or after this moment."""
    if vendor() == "postgresql":
        return f"({column or 'now()'} + ({seconds}) * interval '1 second')"
    at = column or "'now'"
    return f"strftime('%%Y-%%m-%%d %%H:%%M:%%f', {at}, ({seconds}) || ' seconds')"
