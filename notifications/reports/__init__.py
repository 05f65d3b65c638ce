"""The report of a day, a week or a month: what was sent, how late, and whether reminders help. As HTML and as PDF.

`reports` keeps and writes them, `mails` sends them on a schedule; `periods`, `figures`, `effect`, `sections`, `charts`
and `documents` are what a report is made of, in this order. The promise: numbers alone, of nobody in particular.
"""
