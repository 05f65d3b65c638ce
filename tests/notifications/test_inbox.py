"""The inbox: a message sent twice is there once, and customers see and change only their own."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from notifications import inbox
from notifications.channels import CHANNELS, inbox as channel
from notifications.channels.base import Message, Refused
from notifications.models import Customer, InboxItem, OutboxMessage
from tests.factories import DAY, alice, bob

pytestmark = pytest.mark.django_db


def put(customer: Customer, key: str, **metadata: object) -> InboxItem:
    channel.send(Message(str(customer.pk), f"Title {key}", "Body", metadata=metadata), idempotency_key=key)
    return InboxItem.objects.get(key=key)


def test_sent_twice_it_is_there_once_and_found_by_its_key() -> None:
    customer = alice()
    assert channel.find("d-1") is None
    receipts = {
        CHANNELS["inbox"](Message(str(customer.pk), "T" * 300, "B"), idempotency_key="d-1").provider_id
        for _ in range(2)
    }
    (item,) = inbox.messages(customer)
    assert (item.title, item.body, item.level) == ("T" * 200, "B", "info")
    found = channel.find("d-1")
    assert found and receipts == {found.provider_id}
    assert CHANNELS["inbox"].default_policy == "keyed"


def test_a_message_keeps_its_level_its_end_and_its_data() -> None:
    until = datetime(2030, 1, 1, tzinfo=UTC)
    item = put(alice(), "d-1", level="warning", expires_at=until.isoformat(), booking="b-1")
    assert (item.level, item.expires_at, item.metadata) == ("warning", until, {"booking": "b-1"})
    assert put(bob(), "d-2", level="nonsense").level == "info"


@pytest.mark.parametrize("to", ["", "alice@example.com"])
def test_an_inbox_that_is_none_is_refused(to: str) -> None:
    with pytest.raises(Refused):
        channel.send(Message(to, "", ""), idempotency_key="d-1")


def test_messages_come_newest_first_and_can_be_narrowed() -> None:
    customer = alice()
    for key, level in (("1", "info"), ("2", "error"), ("3", "success")):
        put(customer, key, level=level)
    put(bob(), "4")
    assert [item.key for item in inbox.messages(customer)] == ["3", "2", "1"]
    assert [item.key for item in inbox.messages(customer, level="error")] == ["2"]
    inbox.mark_read(customer, [InboxItem.objects.get(key="3").pk])
    assert [item.key for item in inbox.messages(customer, unread=True)] == ["2", "1"]


def test_the_unread_are_counted_and_read_once() -> None:
    customer = alice()
    first, _ = put(customer, "1"), put(customer, "2")
    assert inbox.unread_count(customer) == 2
    assert inbox.mark_read(customer, [first.pk]) == 1
    first.refresh_from_db()
    read_at = first.read_at
    assert inbox.mark_read(customer, [first.pk]) == 0
    first.refresh_from_db()
    assert first.read_at == read_at
    assert inbox.mark_read(customer) == 1
    assert inbox.unread_count(customer) == 0
    assert inbox.mark_unread(customer, [first.pk]) == 1
    assert inbox.unread_count(customer) == 1


def test_archived_messages_are_away_and_can_come_back() -> None:
    customer = alice()
    first, second = put(customer, "1"), put(customer, "2")
    inbox.mark_read(customer, [first.pk])
    assert inbox.archive(customer) == 1  # what was read
    assert list(inbox.messages(customer)) == [second]
    assert list(inbox.messages(customer, archived=True)) == [first]
    assert inbox.restore(customer, [first.pk]) == 1
    assert inbox.archive(customer, [second.pk]) == 1
    assert inbox.unread_count(customer) == 0


def test_nobody_reads_or_archives_somebody_elses() -> None:
    his = put(bob(), "1")
    customer = alice()
    for verb in (inbox.mark_read, inbox.archive):
        assert verb(customer, [his.pk]) == 0
    assert inbox.messages(customer).count() == 0


def test_an_expired_message_is_neither_shown_nor_counted_and_later_deleted() -> None:
    customer = alice()
    put(customer, "over", expires_at=(timezone.now() - timedelta(seconds=1)).isoformat())
    put(customer, "still", expires_at=(timezone.now() + DAY).isoformat())
    archived = put(customer, "archived")
    InboxItem.objects.filter(pk=archived.pk).update(archived_at=timezone.now() - 91 * DAY)
    OutboxMessage.objects.create(channel="sms", key="old", to="x", created_at=timezone.now() - 31 * DAY)
    assert [item.key for item in inbox.messages(customer)] == ["still"]
    assert inbox.unread_count(customer) == 1
    assert inbox.prune() == 3
    assert [item.key for item in InboxItem.objects.all()] == ["still"]
    assert inbox.prune() == 0
