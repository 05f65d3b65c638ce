"""A file is judged when a message is written, and again when it goes."""

import io
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core import mail
from django.utils import timezone

from jobs.library import people, storage
from jobs.library.storage import Whose
from jobs.models import Job, StoredFile
from notifications import attachments, direct
from notifications.direct import Wanted
from notifications.models import DirectMessage
from tests.factories import DAY, MINUTE, alice
from tests.notifications.writing_direct import OLGA, became

pytestmark = pytest.mark.django_db


@pytest.fixture
def bea() -> Any:
    """She may write, and see jobs."""
    user = get_user_model().objects.create_user("bea")
    user.user_permissions.set(Permission.objects.filter(codename__in=["send_directmessage", "view_job"]))
    return user


def file(**whose: Any) -> StoredFile:
    return storage.keep(io.BytesIO(b"%PDF"), "Rechnung.pdf", "application/pdf", Whose(**whose))


def written(person: people.Person, attached: StoredFile) -> DirectMessage:
    wanted = Wanted(channel="email", customer=alice().pk, subject="s", text="t", attachments=[attached.pk])  # type: ignore[arg-type]
    return direct.write(wanted, person)


def lost_right(user: Any, attached: StoredFile) -> None:
    user.user_permissions.clear()


def locked_out(user: Any, attached: StoredFile) -> None:
    type(user).objects.filter(pk=user.pk).update(is_active=False)


def deleted(user: Any, attached: StoredFile) -> None:
    user.delete()


def expired(user: Any, attached: StoredFile) -> None:
    StoredFile.objects.filter(pk=attached.pk).update(expires_at=timezone.now() - MINUTE)


def cleaned_up(user: Any, attached: StoredFile) -> None:
    storage.remove([attached])


@pytest.mark.parametrize("accident", [lost_right, locked_out, deleted, expired, cleaned_up])
def test_a_file_that_may_not_go_any_more_ends_the_message_and_says_why(worker: Any, bea: Any, accident: Any) -> None:
    attached = file(permission="jobs.view_job")
    message = written(people.of(bea), attached)
    accident(bea, attached)
    worker.run_due()
    assert became(message) == ("skipped", "no_file")
    assert message.detail and mail.outbox == []
    assert Job.objects.get(pk=message.pk).state == "failed"


def test_what_is_as_it_was_goes(worker: Any, bea: Any) -> None:
    message = written(people.of(bea), file(permission="jobs.view_job"))
    worker.run_due()
    assert became(message) == ("sent", "")
    assert [one[0] for one in mail.outbox[0].attachments] == ["Rechnung.pdf"]


def test_a_program_of_ours_may_go_on(worker: Any) -> None:
    message = written(OLGA, file(permission="jobs.view_job"))
    worker.run_due()
    assert (became(message), message.user_id) == (("sent", ""), None)


def test_one_that_will_be_gone_by_then_is_refused_when_it_is_written() -> None:
    with pytest.raises(ValueError, match="is kept until"):
        attachments.allowed([file(keep=DAY).pk], OLGA, "", timezone.now() + DAY)


def test_a_storage_that_stumbles_ends_nothing(worker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    message = written(OLGA, file())
    real, troubles = storage.read, [OSError("the bucket is away")]

    def read(stored: StoredFile) -> Any:
        if troubles:
            raise troubles.pop()
        return real(stored)

    monkeypatch.setattr(storage, "read", read)
    worker.run_due()
    assert became(message) == ("planned", "")
    Job.objects.filter(pk=message.pk).update(run_at=timezone.now())
    worker.run_due()
    assert became(message) == ("sent", "")
