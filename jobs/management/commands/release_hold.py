"""`manage.py release_hold`: send again, after the database's clock had jumped and somebody has looked at it.

The log and the admin's clock page say why nothing was sent.
"""

from typing import Any

from django.core.management.base import BaseCommand

from jobs import ticks


class Command(BaseCommand):
    help = "Believe the database's clock again and send what is due."

    def handle(self, *args: Any, **options: Any) -> None:
        released = ticks.release("by manage.py release_hold")
        self.stdout.write("Released: what is due goes out with the next tick." if released else "Nothing was held.")
