"""The error for a wrong request."""


class FacelmError(ValueError):
    """What the user asked for cannot be done: one sentence that names the file, row or field, and the remedy.

    The command line prints it as `facelm: <sentence>` and exits with code 2.
    """


class MissingFileError(FacelmError, FileNotFoundError):
    """A file the user named does not exist."""
