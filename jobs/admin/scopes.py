"""Who sees the jobs of which queues and tenants only. For those who give rights: who writes here may see all."""

from django.contrib import admin

from config.theme.pages import ModelAdmin
from jobs.admin.scoped import OfAll
from jobs.models import JobScope


@admin.register(JobScope)
class JobScopeAdmin(OfAll, ModelAdmin[JobScope]):
    list_display = ("__str__", "user", "group", "queues", "tenants")
    list_select_related = ("user", "group")
