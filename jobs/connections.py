"""Connections of processes that live for weeks: to the database, and to caches."""

from django.core.cache import close_caches
from django.db import InterfaceError, InternalError, OperationalError, connections

# The database is not there, or takes nothing for the moment: it restarts, is locked, or read-only between two primaries
# (PostgreSQL says that, and that it ended an idle transaction, as an InternalError). What was asked is not at fault.
AWAY = (OperationalError, InterfaceError, InternalError)


def leave() -> None:
    """Close them, for the main process of a worker: pool processes are forked from it and must not inherit any."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


def refresh() -> None:
    """Drop what is broken or too old: a restarted database costs one reconnect, not a deaf worker.

    Like Django's close_old_connections, but never in the middle of a transaction: that would undo it silently.
    """
    close_caches()
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
