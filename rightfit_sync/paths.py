"""Paths: a field's name, or `field/element` and `field/element/field` inside a container.

Grammar (JSON Pointer, RFC 6901, without the leading slash)::

    path    = segment *2( "/" segment )
    segment = *( any character but "/" and "~" | "~0" | "~1" )     ; ~0 is "~", ~1 is "/"

An element of a set may hold any character; escaping keeps it one segment.
"""

from rightfit_sync.errors import LocalError


def escape(segment: str) -> str:
    """Return `segment` with `~` and `/` escaped, fit to be joined into a path."""
    return segment.replace("~", "~0").replace("/", "~1") if "/" in segment or "~" in segment else segment


def unescape(segment: str) -> str:
    """Undo `escape`."""
    return segment.replace("~1", "/").replace("~0", "~") if "~" in segment else segment


def join(*segments: str) -> str:
    """Return the path of these unescaped segments."""
    return "/".join(escape(segment) for segment in segments)


def split(path: str) -> tuple[str, ...]:
    """Return the unescaped segments of `path`; raise `LocalError("invalid_path")` for an empty path."""
    if not path:
        raise LocalError("invalid_path", "a path must name a field", path)
    return tuple(unescape(segment) for segment in path.split("/"))


def root(path: str) -> str:
    """Return the field's name, the first segment, unescaped."""
    return unescape(path.partition("/")[0])


def is_inside(path: str, container: str) -> bool:
    """Whether `path` lies below the path `container`."""
    return len(path) > len(container) and path.startswith(container) and path[len(container)] == "/"
