"""Where things are: the admin, the pages behind the links in messages, and what providers call."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

admin.site.site_header = admin.site.site_title = "Punctual"
admin.site.index_title = "Bookings, payments and what goes out for them"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("", include("notifications.pages")),
    path("callbacks/", include("notifications.callbacks.urls")),
]
