"""`manage.py config`, `health` and `send_test`: what somebody asks who has just installed it, or is woken at night."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.core import mail
from django.db.models.functions import Now

from config.management.commands import config
from jobs import crews, ticks
from notifications import trials
from notifications.models import InboxItem, OutboxMessage, Trial
from tests.factories import HOUR, alice, make_job
from tests.installation import Installation, installed
from tests.jobs.shell import Shell
from tests.virtual import one_moment as one_moment

health, send_test = Shell("health"), Shell("send_test")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("installed")) as made:
        yield made


# --- config ---------------------------------------------------------------------------------------------


def test_config_tells_each_value_and_where_it_came_from(here: Installation, tmp_path: Path) -> None:
    file, key = tmp_path / ".env", tmp_path / "key"
    file.write_text("TIME_ZONE=Europe/Berlin\nLOGIN_ATEMPTS=9\nTWILIO_AUTH_TOKEN=very-secret\n")
    key.write_text("x7" + "from-a-file" * 8)
    more = {"ENV_FILE": str(file), "SECRET_KEY_FILE": str(key), "EMAIL_URL": "smtp+tls://olga:p%40ss@mail.example:587"}
    done = here.run("config", LATENESS_GOAL="90", DATABASE_URL="postgres://u:hidden@127.0.0.1:1/x", **more)
    assert done.returncode == 0, done.stderr
    told = {one["variable"]: (one["value"], one["source"]) for one in map(json.loads, done.stdout.splitlines())}
    assert told["LATENESS_GOAL"] == (90, "environment")
    assert told["TIME_ZONE"] == ("Europe/Berlin", ".env")
    assert told["WORKER_CONCURRENCY"] == (2, "default")
    assert told["JOBS_QUEUES"] == ("default, messages", "default")
    assert told["SECRET_KEY"] == ("********", f"environment, by SECRET_KEY_FILE={key}")
    assert told["TWILIO_AUTH_TOKEN"] == ("********", ".env")
    assert told["EMAIL_URL"] == ("smtp+tls://olga:********@mail.example:587", "environment")
    assert told["DATABASE_URL"] == ("postgres://u:********@127.0.0.1:1/x", "environment")
    for secret in ("from-a-file", "very-secret", "p%40ss", "p@ss", "hidden"):
        assert secret not in done.stdout + done.stderr
    assert "LOGIN_ATEMPTS is set and the settings do not read it" in done.stderr


@pytest.mark.parametrize(
    "text",
    [
        "redis://:hush1@a:1/0;redis://:hush2@b:1/0",
        "redis://h/1?password=hush",
        "smtp://u:hush@h?timeout=3&api_key=hush",
    ],
)
def test_config_masks_each_password_of_an_address(text: str) -> None:
    assert "hush" not in config.masked("SOME_URL", text)
    assert "hush" not in config.masked("SOME_URLS", [text])


def test_config_shows_a_person_what_is_asked_for(here: Installation) -> None:
    seen = here.on_terminal("config", "breaker")
    assert seen.code == 0 and "BREAKER_SECONDS" in seen.text and "TIME_ZONE" not in seen.text
    assert here.run("config", "nonsense").returncode == 3


# --- health ---------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.usefixtures("one_moment")
def test_health_is_well_with_a_worker_and_a_tick_and_not_without() -> None:
    code, says = health.refuses()
    assert code == 1 and says.startswith("Not well: workers. Start workers, clock and beat")
    assert "the broker does not answer" in says  # its absence looks like theirs
    crews.tell("a@host", ["default"], 2, scalable=True)
    ticks.look("clock")
    told = {one["check"]: one for one in health.lines()}
    assert [one["well"] for one in told.values()] == [True, True, True]
    assert told["workers"]["processes"] == 2
    text = health.screen()
    assert "workers: well" in text and "beat alive" in text
    make_job(due=-HOUR)
    code, says = health.refuses("queues")
    assert code == 1 and says == "Not well: queues. `manage.py jobs queues` tells which is late or paused."
    assert health.lines("ready")[0]["database"] is True


def test_health_ends_with_1_and_a_sentence_when_the_database_is_away(here: Installation) -> None:
    gone = "postgres://postgres@127.0.0.1:1/x" if "postgres" in here.env["DATABASE_URL"] else "sqlite:////proc/none"
    done = here.run("health", DATABASE_URL=gone)
    assert (
        done.returncode == 1 and "Not well: ready, workers, queues. Is the database of DATABASE_URL up" in done.stderr
    )
    assert "Traceback" not in done.stderr
    assert [json.loads(line)["well"] for line in done.stdout.splitlines()] == [False, False, False]


# --- send_test ------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_mail_goes_out_marked_as_a_test_and_is_on_record() -> None:
    text = send_test.screen("email", "olga@example.com", "--by", "olga")
    assert text.startswith("taken by the provider")
    (letter,) = mail.outbox
    assert letter.to == ["olga@example.com"] and "[TEST]" in letter.subject and trials.BANNER in letter.body
    trial = Trial.objects.get()
    assert (trial.actor, trial.channel, trial.address) == ("olga", "email", "olga@example.com")
    assert trial.answer.startswith("taken")


@pytest.mark.django_db
def test_every_channel_can_be_tried(settings) -> None:
    settings.WEBHOOK_OUTBOX = True
    customer = alice()
    for channel, address in [("sms", "+491701234567"), ("webhook", "https://x.example"), ("inbox", str(customer.pk))]:
        assert "taken" in send_test.screen(channel, address)
    assert set(OutboxMessage.objects.values_list("channel", flat=True)) == {"sms", "webhook"}
    assert InboxItem.objects.get().customer == customer


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("channel", "address"),
    [("email", "olga"), ("sms", "0170123"), ("webhook", "ftp://x"), ("inbox", "0"), ("inbox", "x")],
)
def test_what_is_no_address_of_the_channel_is_refused_before_anything_is_written(channel: str, address: str) -> None:
    code, said = send_test.refuses(channel, address)
    assert code == 2 and "ADDRESS is" in said
    assert not Trial.objects.exists()


@pytest.mark.django_db
@pytest.mark.usefixtures("one_moment")
def test_there_are_only_a_few_a_minute() -> None:
    for _ in range(trials.A_MINUTE):
        send_test.screen("email", "olga@example.com", "--by", "olga")
    assert send_test.refuses("email", "olga@example.com", "--by", "olga")[0] == 3
    assert len(mail.outbox) == trials.A_MINUTE
    Trial.objects.update(at=Now() - timedelta(minutes=2))
    send_test.screen("email", "olga@example.com", "--by", "olga")


@pytest.mark.django_db
def test_what_the_provider_said_is_shown_and_ends_with_1(settings) -> None:
    settings.EMAIL_BACKEND = "notifications.channels.smtp.ExactBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    code, said = send_test.refuses("email", "olga@example.com")
    assert code == 1 and said.startswith("not taken, for now")
    assert Trial.objects.get().answer == said
