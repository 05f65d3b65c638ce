"""Where providers tell what became of messages; each view checks who speaks."""

from django.urls import path

from notifications.callbacks import email, generic, twilio

app_name = "callbacks"
urlpatterns = [
    path("twilio/status/<str:delivery>/", twilio.status, name="twilio_status"),
    path("twilio/inbound/", twilio.inbound, name="twilio_inbound"),
    path("email/<slug:provider>/tracking/", email.webhook, name="email"),
    path("generic/", generic.event, name="generic"),
]
