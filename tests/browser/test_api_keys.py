"""A key for a program, made by hand: each scope can be ticked, and names are typed as one would."""

from django.urls import reverse

from jobs.access import ApiKey
from tests.browser.person import Person


def test_a_key_is_made_with_what_one_sees(maria: Person) -> None:
    page = maria.open(reverse("admin:jobs_apikey_add"))
    maria.looks_fine()
    page.fill("#id_name", "booking site")
    boxes = page.locator("input[name=scopes]")
    for n in (0, boxes.count() - 1):
        boxes.nth(n).check()  # not under another field
    page.fill("#id_queues", "default, messages")
    maria.go(page.get_by_role("button", name="Save", exact=True))
    key = ApiKey.objects.get(name="booking site")
    assert key.prefix in page.locator("main, #main, body").first.inner_text()
    assert len(key.scopes) == 2 and key.queues == ["default", "messages"]
