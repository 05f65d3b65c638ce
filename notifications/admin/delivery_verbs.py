"""The buttons of a delivery's page and of the queue of doubts. They are verbs of `reconciler` and `doubts`."""

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy as _

from config.theme.verbs import Verb
from notifications import doubts, reconciler
from notifications.admin.decisions import RESOLVE, KnownForm, decided, held, insist
from notifications.models import Delivery

CANCEL, RETRY = "notifications.cancel_delivery", "notifications.retry_delivery"
DECIDED = _("It was not in doubt any more: somebody else, or the provider, has said what became of it.")
State = Delivery.State


def withdraw(delivery: Delivery, request: HttpRequest) -> str:
    """The receipt."""
    receipts = reconciler.withdraw([delivery.pk], str(request.user))
    insist(len(receipts), gettext("It does not wait any more."))
    return receipts[delivery.pk]


def again(delivery: Delivery, request: HttpRequest) -> None:
    insist(
        reconciler.resend([delivery.pk], str(request.user)),
        gettext("Only refused or withdrawn ones whose time has come are tried again."),
    )


def in_doubt(delivery: Delivery) -> bool:
    return delivery.state == State.IN_DOUBT or bool(delivery.doubts)


def _again(delivery: Delivery) -> bool:
    return delivery.state in (State.REFUSED, State.SKIPPED) and delivery.send_at <= timezone.now()


VERBS = (
    Verb(
        "was_sent",
        _("It was sent"),
        RESOLVE,
        decided(doubts.resolve, "sent", DECIDED),
        in_doubt,
        KnownForm,
        _("The provider took the message. The doubt is closed."),
        icon="check",
        many=_("Doubt: it was sent..."),
    ),
    Verb(
        "was_not_sent",
        _("It was not sent"),
        RESOLVE,
        decided(doubts.resolve, "not_sent", DECIDED),
        in_doubt,
        KnownForm,
        _("The provider certainly did not take it. The next channel takes over, if there is one."),
        icon="close",
        many=_("Doubt: it was not sent..."),
    ),
    Verb(
        "send_again",
        _("Send it again"),
        RESOLVE,
        decided(doubts.resolve, "resend", DECIDED),
        held,
        KnownForm,
        _("It may arrive twice. The doubt stays counted, and the fence still decides whether it goes out."),
        grave=True,
        icon="repeat",
        many=_("Doubt: send it again..."),
    ),
    Verb(
        "withdraw",
        _("Withdraw"),
        CANCEL,
        withdraw,
        lambda delivery: delivery.state == State.PLANNED,
        explained=_("It will not go out."),
        grave=True,
        icon="block",
        many=_("Withdraw..."),
    ),
    Verb(
        "again",
        _("Try again"),
        RETRY,
        again,
        _again,
        explained=_("It goes out now, if nothing speaks against it."),
        grave=True,
        icon="send",
        many=_("Try again..."),
    ),
)
