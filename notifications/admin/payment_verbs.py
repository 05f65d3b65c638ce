"""The buttons of a payment's page. What each does is a verb of `payments`; amounts are typed as people write them."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils.translation import gettext, gettext_lazy as _

from config.theme.forms import Day
from config.theme.verbs import Verb, VerbForm
from notifications import amounts, payments
from notifications.admin.booking_verbs import ReasonForm
from notifications.bookings import Receipt
from notifications.models import Payment

CHANGE = "notifications.change_payment"
Status = Payment.Status


class _AmountForm(VerbForm):
    """An amount of the payment's currency, in minor units for what goes on; empty means all of it."""

    amount = forms.DecimalField(label=_("Amount"), required=False, min_value=0, max_digits=18, decimal_places=4)

    def __init__(self, about: Payment, data: Any = None, **kwargs: Any) -> None:
        super().__init__(about, data, **kwargs)
        self.fields["amount"].help_text = self.hint()

    def hint(self) -> str:
        raise NotImplementedError

    def clean_amount(self) -> int | None:
        amount = self.cleaned_data["amount"]
        if amount is None:
            return None
        try:
            return amounts.minor(amount, self.about.currency)
        except ValueError as exc:
            raise forms.ValidationError(str(exc)) from None


class PaidForm(_AmountForm):
    def hint(self) -> str:
        left = amounts.written(self.about.amount - self.about.paid_amount, self.about.currency)
        return gettext("in {currency}; empty: all that is left, {amount}").format(
            currency=self.about.currency, amount=left
        )


class RefundForm(_AmountForm):
    reason = forms.CharField(
        label=_("Reason"), required=False, max_length=300, help_text=_("kept in the log, not sent")
    )

    def hint(self) -> str:
        left = amounts.written(self.about.paid_amount - self.about.refunded_amount, self.about.currency)
        return gettext("in {currency}; empty: all of it, {amount}").format(currency=self.about.currency, amount=left)


class BounceForm(RefundForm):
    def __init__(self, about: Payment, data: Any = None, **kwargs: Any) -> None:
        super().__init__(about, data, **kwargs)
        self.fields["amount"].required = True

    def hint(self) -> str:
        return gettext("in {currency}").format(currency=self.about.currency)


class DueForm(VerbForm):
    due_on = forms.DateField(label=_("Due on"), widget=Day)
    reason = forms.CharField(
        label=_("Reason"), required=False, max_length=300, help_text=_("kept in the log, not sent")
    )

    def __init__(self, about: Payment, data: Any = None, **kwargs: Any) -> None:
        super().__init__(about, data, initial={"due_on": about.due_on}, **kwargs)

    def clean_due_on(self) -> Any:
        try:
            return payments.due_date(self.cleaned_data["due_on"])
        except ValueError as exc:
            raise forms.ValidationError(str(exc)) from None


def paid(payment: Payment, request: HttpRequest, *, amount: int | None = None) -> Receipt:
    return payments.mark_paid(payment, amount)


def refund(payment: Payment, request: HttpRequest, *, amount: int | None, reason: str) -> Receipt:
    return payments.refund(payment, amount)


def bounce(payment: Payment, request: HttpRequest, *, amount: int, reason: str) -> Receipt:
    return payments.bounce(payment, amount)


def postpone(payment: Payment, request: HttpRequest, *, due_on: Any, reason: str) -> Receipt:
    return payments.postpone(payment, due_on)


def dispute(payment: Payment, request: HttpRequest, *, reason: str) -> Receipt:
    return payments.dispute(payment)


def settle(payment: Payment, request: HttpRequest) -> Receipt:
    return payments.uphold(payment)


def write_off(payment: Payment, request: HttpRequest, *, reason: str) -> Receipt:
    return payments.write_off(payment)


def cancel(payment: Payment, request: HttpRequest, *, reason: str) -> Receipt:
    return payments.cancel(payment)


def _in(*states: Status) -> Callable[[Payment], bool]:
    return lambda payment: payment.status in states


VERBS = (
    Verb(
        "paid",
        _("Record money"),
        CHANGE,
        paid,
        _in(Status.OPEN, Status.DISPUTED, Status.WRITTEN_OFF),
        PaidForm,
        _("Paid in full, it needs no more reminders."),
        icon="payments",
    ),
    Verb(
        "paid_in_full",
        _("Paid in full"),
        CHANGE,
        paid,
        _in(Status.OPEN, Status.DISPUTED, Status.WRITTEN_OFF),
        explained=_("All that is left has come in. It needs no more reminders."),
        grave=True,
        icon="done_all",
        many=_("Paid in full..."),
    ),
    Verb(
        "postpone",
        _("Change the due date"),
        CHANGE,
        postpone,
        _in(Status.OPEN),
        DueForm,
        _("Reminders of the old date are withdrawn, the new date gets its own."),
        icon="event_repeat",
    ),
    Verb(
        "dispute",
        _("Disputed"),
        CHANGE,
        dispute,
        _in(Status.OPEN),
        ReasonForm,
        _("The customer objects: no reminders until it is settled."),
        icon="gavel",
    ),
    Verb("settle", _("Settled: it is owed"), CHANGE, settle, _in(Status.DISPUTED), icon="handshake"),
    Verb(
        "refund",
        _("Refund"),
        CHANGE,
        refund,
        _in(Status.PAID),
        RefundForm,
        _("Records that money was given back; nothing is owed again. No money is moved by this."),
        grave=True,
        icon="undo",
    ),
    Verb(
        "bounce",
        _("Money went back"),
        CHANGE,
        bounce,
        _in(Status.PAID),
        BounceForm,
        _("A returned debit or a chargeback: it is owed again, and reminded of."),
        grave=True,
    ),
    Verb(
        "write_off",
        _("Write off"),
        CHANGE,
        write_off,
        _in(Status.OPEN, Status.DISPUTED),
        ReasonForm,
        _("The money is given up. Should it come all the same, it can be recorded."),
        grave=True,
    ),
    Verb(
        "cancel",
        _("Call off"),
        CHANGE,
        cancel,
        _in(Status.OPEN, Status.DISPUTED),
        ReasonForm,
        _("It is not owed any more. This cannot be undone."),
        grave=True,
        many=_("Call off..."),
    ),
)
