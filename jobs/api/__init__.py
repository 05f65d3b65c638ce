"""The REST API's frame, and the routers of jobs and queues. `config/api.py` puts it together with the product's.

What every request passes is in `door`; who asks is a `Caller` (`callers`). A router is a file a noun.
"""
