"""Punctual as one command, `python -m config.stack`, and as an object for the demo and for tests: see stack.py."""

from config.stack.stack import BASE_DIR, START_ERRORS, Stack, StackError, stop_on_signals

__all__ = ["BASE_DIR", "START_ERRORS", "Stack", "StackError", "stop_on_signals"]
