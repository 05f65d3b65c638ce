"""The worker of production for tests of slow clients, with less patience. See test_slow_clients.py."""

from config.serving import web


class Worker(web.Worker):
    patience = 0.5
    pace = 1000.0
    taking = 1
