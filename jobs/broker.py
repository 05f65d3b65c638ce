"""The broker's epoch: a mark that is kept in the broker and vanishes when the broker loses its data.

Used by the dispatcher. Rows remember the epoch in which their message was sent, so a flush, an empty failover, a reset
virtual host or a changed BROKER_URL shows at the next tick instead of when the messages are missed.
"""

import uuid
from typing import Any

from amqp.exceptions import NotFound
from celery import current_app
from kombu.exceptions import OperationalError

from jobs.models import Clock

KEY = "jobs:epoch"
QUEUE = "jobs.epoch."  # and the epoch: AMQP keeps no values, but it can say whether a name is known
UNUSED = 3600 * 1000  # ms after which RabbitMQ drops a mark that no dispatcher looks at
TRIES = 5


def epoch() -> str:
    """The present epoch; empty on a broker that keeps no mark (there, leases alone find lost messages).

    Raises kombu's OperationalError when the broker does not answer.
    """
    pool: Any = current_app.pool
    with pool.acquire(block=True) as connection:
        try:
            connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
            return _epoch(connection)
        except (*connection.connection_errors, *connection.channel_errors) as exc:
            connection.collect()  # a broken connection must not go back into the pool
            raise OperationalError(str(exc)) from exc


def _epoch(connection: Any) -> str:
    if connection.transport.driver_type == "amqp":
        return _named(connection)
    if connection.transport.driver_type != "redis":
        return ""
    # Not the channel's own client: on that one a BRPOP may still wait that a question to the workers has left behind,
    # and its answer would be taken for ours.
    with connection.default_channel.conn_or_acquire() as client:
        return _kept(client)


def _kept(client: Any) -> str:
    """SET NX lets one of several dispatchers decide; GET is what it decided."""
    client.set(KEY, str(uuid.uuid4()), nx=True)
    kept = client.get(KEY)
    if kept is None:
        raise OperationalError("the broker lost its epoch between writing and reading it")
    return str(kept.decode() if isinstance(kept, bytes) else kept)


def _named(connection: Any) -> str:
    """The epoch is in our row, the proof in the broker: a durable queue of that name, for ever empty.

    Whose UPDATE of the row comes first decides, and its queue is there by then. A loser's queue expires unused.
    """
    for _ in range(TRIES):
        known = Clock.row().epoch
        if known and _has(connection, known):
            return known
        fresh = str(uuid.uuid4())
        with connection.channel() as channel:
            channel.queue_declare(QUEUE + fresh, durable=True, auto_delete=False, arguments={"x-expires": UNUSED})
        if Clock.objects.filter(epoch=known).update(epoch=fresh):
            return fresh
    raise OperationalError("other dispatchers changed the epoch each time; do they use the same broker?")


def _has(connection: Any, known: str) -> bool:
    """Whether the queue exists. Asked by a get, which counts as use (a passive declare would not)."""
    channel = connection.channel()
    try:
        channel.basic_get(QUEUE + known, no_ack=True)
    except NotFound:  # the server has closed the channel
        return False
    channel.close()
    return True
