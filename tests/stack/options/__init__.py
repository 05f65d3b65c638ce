"""Every option of Celery on a durable job, against a real worker: it works, or it is refused with a message.

ARCHITECTURE.md has the table of them, with the test of each; tests/test_celery_table.py compares the two.
"""
