"""The product's routers of the REST API: bookings, payments, customers, rules, deliveries and what belongs to them.

`routers` has them all, for `config/api.py`; `scopes` is registered when the app starts. A router is a file a noun. It
looks rows up through `reach` only, and changes them through the product's own verbs only.
"""
