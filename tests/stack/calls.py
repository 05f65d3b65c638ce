"""How each command is called by a person, by a program, and wrongly: the table of `test_command_line`.

{waiting}, {failed}, {kept} and {key} stand for a fresh job, stored file or key of the API, {file} for a new file,
{export}, {bookings}, {payments}, {bad} and {empty} for files that are there. A command without a line fails a test.
"""

from dataclasses import dataclass

NOTHING = "01900000-0000-7000-8000-000000000000"


@dataclass(frozen=True)
class Call:
    words: str  # that succeed
    shows: str  # on a terminal
    tells: str  # a name of its JSON; empty: it writes none, whoever reads it
    wrong: tuple[tuple[str, int, str], ...]  # words, the exit code, what it complains


def odd(words: str, complaint: str = "") -> tuple[str, int, str]:
    return words, 2, complaint


def none(words: str, complaint: str = "") -> tuple[str, int, str]:
    return words, 3, complaint


def error(words: str, complaint: str = "") -> tuple[str, int, str]:
    return words, 1, complaint


UNKNOWN_JOB = none(NOTHING, f"There is no job {NOTHING}.")
CHOICE = (
    odd("", "Say which jobs"),
    odd("--queue mesages", "There is no queue 'mesages'"),
    odd("--state scheduled --tag odd", "There is nobody to ask: say --yes"),
    none("--tag nothing --yes", "there are no such jobs"),
    UNKNOWN_JOB,
)

CALLS = {
    "jobs list": Call(
        "--state scheduled",
        "scheduled",
        "run_at",
        (none("--tag nothing", "There are no such jobs."), odd("--limit 0", "not a whole number"), odd("--state lost")),
    ),
    "jobs show": Call("{waiting}", "cancel requested", "attempts", (UNKNOWN_JOB, odd("", "are required"))),
    "jobs types": Call("option.echo", "max attempts", "schema", (odd("option.typo", "There is no task"),)),
    "jobs stats": Call("", "succeeded", "succeeded", (odd("default", "unrecognized arguments"),)),
    "jobs queues": Call("", "default", "queue", (odd("default", "unrecognized arguments"),)),
    "jobs workers": Call("default", "default: desired", "workers", (odd("mesages", "There is no queue 'mesages'"),)),
    "jobs watch": Call("--once", "last minute:", "queues", (odd("--every 0"), odd("--every -3"), odd("--every NaN"))),
    "jobs enqueue": Call(
        "option.echo --tag made",
        "option.echo in default for",
        "id",
        (odd("option.typo", "There is no task"), odd("option.echo --data {{", "not JSON"), odd("jobs.order", "alone")),
    ),
    "jobs schedule": Call(
        "option.echo 'in 2 hours' --tag odd",
        "option.echo in default for",
        "run_at",
        (odd("option.echo yesterday", "in the past"), odd("option.echo"), odd("option.echo 'in 999999999 years'")),
    ),
    "jobs cancel": Call("{waiting}", "cancel: 1 cancelled.", "counts", CHOICE),
    "jobs retry": Call(
        "{failed}",
        "retry: 1 done.",
        "counts",
        (odd(""), odd("{failed} --per-minute 0"), none("--state failed --tag nothing --yes"), UNKNOWN_JOB),
    ),
    "jobs run-now": Call("{waiting}", "run-now: 1 done.", "counts", CHOICE),
    "jobs reschedule": Call(
        "{waiting} --by-time 2h",
        "reschedule: 1 done.",
        "counts",
        (
            odd("{waiting}", "required"),
            odd("{waiting} --by-time 0s", "no time at all"),
            odd("{waiting} --to 9999-12-31", "2200"),
            none(f"{NOTHING} --by-time 2h"),
        ),
    ),
    "jobs pause": Call(
        "tenant nobody --for 2h",
        "Paused tenant nobody until",
        "until",
        (
            odd("queue mesages", "There is no queue"),
            odd("queue default --for 999999d", "more than 366d"),
            odd("queue default --for 0s", "no time at all"),
        ),
    ),
    "jobs resume": Call(
        "tenant {paused}", "Resumed tenant", "resumed", (none("tenant nothing", "was not paused"), odd("house x"))
    ),
    "jobs drain": Call(
        "messages --timeout 50s",
        "Empty after",
        "running",
        (odd("mesages", "There is no queue"), odd("messages --timeout soon", "is no duration")),
    ),
    "jobs scale": Call(
        "messages as-started",
        "desired as started",
        "desired",
        (odd("messages 0"), odd("messages many"), odd("messages 9999", "JOBS_MAX_PROCESSES"), odd("mesages 1")),
    ),
    "jobs clean": Call(
        "succeeded --older 0s --limit 1 --yes",
        "Deleted 1 succeeded jobs",
        "jobs",
        (
            odd("succeeded", "required"),
            odd("running --older 1d", "invalid choice"),
            odd("succeeded --older 0s", "There is nobody to ask: say --yes"),
            none("expired --older 1d --yes", "There are no expired jobs"),
        ),
    ),
    "jobs export": Call(
        "{file}",
        "SHA-256",
        "sha256",
        (odd("{export}", "is there already"), error("/proc/no/file", "cannot be written")),
    ),
    "jobs import": Call(
        "{export} --dry-run",
        "rows:",
        "rows",
        (
            odd("/nothing", "cannot be read"),
            error("/dev/null", "no regular file"),
            none("{empty}", "There is no job"),
            error("{export} --expect 0"),
        ),
    ),
    "jobs keep": Call("{bookings}", "bytes, until", "sha256", (odd("/nothing", "is no file"), odd("/", "is no file"))),
    "jobs fetch": Call(
        "{kept} {file}",
        "bytes of",
        "sha256",
        (
            none("nothing {file}", "is no job or file"),
            none("{waiting} {file}", "made no file"),
            odd("{kept} {export}", "is there already"),
            error("{kept} /proc/no/file", "cannot be written"),
        ),
    ),
    "api_key make": Call("site jobs:read", "shown only this once", "key", (odd("site jobs:fly"), odd("site"))),
    "api_key list": Call("", "in force", "prefix", (odd("all"),)),
    "api_key rotate": Call(
        "{key}", "shown only this once", "key", (none("pk_none", "There is no key"), odd("{key} --overlap-hours -1"))
    ),
    "api_key revoke": Call("{key}", "Revoked", "revoked", (none("pk_none", "There is no key"), odd(""))),
    "release_hold": Call("", "Nothing was held.", "released", (odd("now"),)),
    "config": Call("JOBS_", "JOBS_QUEUES", "variable", (none("nonsense", "no variable NONSENSE"), odd("--only x"))),
    "health": Call("ready workers", "workers: well", "well", (odd("lungs", "invalid choice"),)),
    "send_test": Call(
        "email olga@example.com",
        "taken by the provider",
        "taken",
        (odd("email nobody", "ADDRESS is"), odd("pigeon olga@example.com", "invalid choice")),
    ),
    "why": Call("{booking}", "Booking", "reminders", (none("nothing", "There is no booking"), odd(""))),
    "verify": Call("", "All promises are kept.", "kept", (odd("--limit -1"),)),
    "report": Call(
        "week",
        "MESSAGES",
        "messages",
        (odd("year"), odd("week --on 2199-01-01", "has not begun"), odd("week --zone Mars")),
    ),
    "report_mail": Call(
        "",
        "Nothing is in doubt",
        "in_doubt",
        (
            odd("7 sent", "invalid UUID"),
            odd(f"{NOTHING} lost --reason x", "invalid choice"),
            odd(NOTHING, "sent or resend"),
            odd(f"{NOTHING} sent", "--reason"),
            none(f"{NOTHING} sent --reason x", "no mail in doubt"),
        ),
    ),
    "simulate": Call(
        "--days 2", "by the clocks of", "assumed", (odd("--days 0"), odd("--from 9999-01-01"), odd("--rules /nothing"))
    ),
    "schedule_reminders": Call("", "Nothing to change", "reminders", (odd("--tenant ' x'"),)),
    "import_bookings": Call(
        "{bookings} --dry-run",
        "unchanged",
        "rows",
        (odd("/nothing"), odd("{bookings} --time-zone Mars"), error("{bad}", "bad row")),
    ),
    "import_payments": Call(
        "{payments} --dry-run",
        "Reminders:",
        "rows",
        (odd("/nothing"), odd("{bad}", "header does not fit"), error("{owed}", "bad row")),
    ),
    "prepare": Call("--no-static", "", "", (odd("--fast"),)),
    "ensure_admin": Call("", "", "", (odd("olga"),)),
}
# Not called here: `demo` is a stack of its own (test_demo), and `catalogue` writes the source (test_translations).
ELSEWHERE = {"demo": "--seconds 5", "catalogue": "now"}
