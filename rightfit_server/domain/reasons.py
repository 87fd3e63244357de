"""`why("...")` beside a field says in one sentence why it merges as it does; the reference shows it."""

from msgspec import Meta


def why(sentence: str) -> Meta:
    """Return the annotation that carries `sentence`."""
    return Meta(description=sentence)
