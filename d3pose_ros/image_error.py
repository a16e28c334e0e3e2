"""The error of every image that cannot be used."""

from d3pose_core.errors import InputError


class ImageError(InputError):
    """An image message that cannot be used; `cause` is the name under which it is counted."""

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause
