"""Where things are: the admin, the pages behind the links in messages, and what providers call."""

from django.contrib import admin
from django.urls import include, path
from django.utils.translation import gettext_lazy
from django.views.generic import RedirectView

from config import api, health
from config.dashboard import page as dashboard
from config.metrics import metrics

admin.autodiscover()
admin.site.index_title = gettext_lazy("Bookings, payments and what goes out for them")

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/dashboard/", include(dashboard.urls)),
    path("admin/", admin.site.urls),
    path("language/", include("django.conf.urls.i18n")),
    path("", include("notifications.pages")),
    path("", include("jobs.library.downloads")),
    path("callbacks/", include("notifications.callbacks.urls")),
    *api.urlpatterns,
    path("health/", include(health)),
    path("metrics", metrics, name="metrics"),
]
