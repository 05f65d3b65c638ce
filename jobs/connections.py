"""Connections of processes that live for weeks: to the database, and to caches."""

from django.core.cache import close_caches
from django.db import connections


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
