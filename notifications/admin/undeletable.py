"""What the owner's screens do not delete."""

from django.db.models import Model
from django.http import HttpRequest


class Undeletable:
    """Rows that deliveries refer to are cancelled or switched off instead, so that the story stays whole."""

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
