"""Errors that a user can act on: each message says what was received and how to mend it."""


class D3PoseError(Exception):
    """Base of every error that d3pose raises on purpose; the command line prints it without a traceback."""


class InputError(D3PoseError, ValueError):
    """An argument, image, clip or file is not what it must be."""


class ModelFileMissing(D3PoseError, FileNotFoundError):
    """A model file is not in the cache; the message names the command that fetches it."""
