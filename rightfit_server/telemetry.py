"""Logs: one JSON object a line, with the time in UTC, and never a secret.

A value under a key that names a secret is replaced before it is written, wherever it comes from;
requests are logged by path, without query and body.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_SECRET = re.compile(r"authorization|token|password|secret|signing_key|_url$|cookie", re.IGNORECASE)
HIDDEN = "(hidden)"


def hide_secrets(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace what stands under the name of a secret."""
    return {key: HIDDEN if _SECRET.search(key) else value for key, value in event.items()}


def configure_logging(level: str = "info") -> None:
    """Write log lines of `level` and above to standard error."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            hide_secrets,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        # Looked up with each line: whoever embeds the server may replace it.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
