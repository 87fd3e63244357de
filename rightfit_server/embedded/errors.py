"""The one error of embedded servers."""


class EmbeddedError(Exception):
    """An embedded server cannot start here; the message says why and what to do."""
