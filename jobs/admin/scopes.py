"""Who sees the jobs of which queues and tenants only. For those who give rights: who writes here may see all."""

from django import forms
from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from config.theme.forms import Names
from config.theme.pages import ModelAdmin
from jobs.admin.scoped import OfAll
from jobs.models import JobScope


class ScopeForm(forms.ModelForm[JobScope]):
    queues = Names(label=_("Queues"), required=False, help_text=_("names with commas between them; empty: all"))
    tenants = Names(
        label=_("Tenants"),
        required=False,
        help_text=_('names with commas between them; empty: all; [""]: the jobs without a tenant'),
    )

    class Meta:
        model = JobScope
        fields = ("user", "group", "queues", "tenants")


@admin.register(JobScope)
class JobScopeAdmin(OfAll, ModelAdmin[JobScope]):
    form = ScopeForm
    list_display = ("__str__", "user", "group", "queues", "tenants")
    list_select_related = ("user", "group")
