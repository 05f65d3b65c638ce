"""What a reader of a file raises when it will not work on it. Used by those that run in `sandbox`."""


class Refused(Exception):
    """The reason, which holds nothing of the file's content."""
