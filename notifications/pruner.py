"""Deletes what nobody needs any more of the product's own rows; what may go, each module says itself.

Started by beat every hour. The promise: what tells a customer's story, a delivery above all, is never touched.
"""

from celery import shared_task

from notifications import bulk, inbox
from notifications.channels import breaker


@shared_task(name="notifications.prune", ignore_result=True)
def prune_all() -> int:
    """Returns the number of rows."""
    return inbox.prune() + bulk.prune() + breaker.prune()
