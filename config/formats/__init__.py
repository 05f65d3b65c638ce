"""How dates and times are written, in one style per language: as one types them into a field of that language.

Django's own names of formats, found by `FORMAT_MODULE_PATH`; what is not named here is Django's. Pages, lists,
receipts, reports and the text of a row all use them. Messages to customers do not: theirs is the customer's locale.
"""
