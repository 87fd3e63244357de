"""Paging of lists: `?limit=` and `?after=`.

Where `after` is the `next` of the page before (two parts, one dot).
"""

from rightfit_server.http.services import AnyRequest
from rightfit_sync.errors import RemoteError
from rightfit_sync.limits import INTEGER_MAX

LIMIT_DEFAULT = 100
LIMIT_MAX = 500


def limit_of(request: AnyRequest) -> int:
    """Return how many rows are asked for; raises `RemoteError` (400)."""
    text = request.query_params.get("limit", str(LIMIT_DEFAULT))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= LIMIT_MAX:
        raise RemoteError("invalid_message", f"{text[:40]!r} is no limit: use 1 to {LIMIT_MAX}", path="limit")
    return int(text)


def after_of(request: AnyRequest) -> tuple[int, str]:
    """Return where the page begins; raises `RemoteError` (400)."""
    text = request.query_params.get("after", "")
    if not text:
        return 0, ""
    number, dot, rest = text.partition(".")
    if (
        not dot
        or not number.isascii()
        or not number.isdigit()
        or len(number) > 16
        or int(number) > INTEGER_MAX
    ):
        message = f"{text[:40]!r} is no place in this list: use the `next` of the page before"
        raise RemoteError("invalid_message", message, path="after")
    return int(number), rest
