"""The broker's epoch: a mark that is kept in the broker and vanishes when the broker loses its data.

Used by the dispatcher. Rows remember the epoch in which their message was sent, so a flush, an empty failover or a
changed BROKER_URL shows at the next tick instead of when the messages are missed.
"""

import uuid
from typing import Any

from celery import current_app
from kombu.exceptions import OperationalError

KEY = "jobs:epoch"


def epoch() -> str:
    """The present epoch; empty on a broker that cannot keep a key (there, leases alone find lost messages).

    Raises kombu's OperationalError when the broker does not answer.
    """
    pool: Any = current_app.pool
    with pool.acquire(block=True) as connection, connection._reraise_as_library_errors():
        client = getattr(connection.default_channel, "client", None)  # Redis and Valkey
        if client is None:
            return ""
        client.set(KEY, str(uuid.uuid4()), nx=True)
        kept = client.get(KEY)
        if kept is None:
            raise OperationalError("the broker lost its epoch between writing and reading it")
        return str(kept.decode() if isinstance(kept, bytes) else kept)
