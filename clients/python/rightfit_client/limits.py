"""Every bound of the client, in one place, its unit last in the name. The protocol's are in the core."""

RESPONSE_BYTES_MAX = 64_000_000
"""Bytes of one inflated response; beyond it a smaller page is asked for."""

COMPRESS_FROM_BYTES = 1_000
"""Bytes from which a request is worth compressing."""

LONG_POLL_SECONDS = 25
"""How long the authority may hold a pull that has nothing to bring; below what proxies cut."""

ANNOUNCING_SECONDS_MAX = 0.02
"""How long who announces a request waits for it to be sent, at most."""

REQUEST_TIMEOUT_SECONDS = 30
"""How long a request may take beside its long poll."""

BACK_OFF_FIRST_SECONDS = 1.0
"""The first pause after a failure; each further one is up to twice as long."""

BACK_OFF_MAX_SECONDS = 30.0
"""The longest pause between attempts, unless the authority asks for more."""

POLL_SECONDS = 5.0
"""The pause between pulls where the authority does not hold a long poll."""

STOP_SECONDS = 5.0
"""How long a sync that is under way may take to finish when the loop is stopped, before it is dropped."""

CANCEL_AGAIN_SECONDS = 1.0
"""After how long a request that does not heed its cancellation is cancelled again."""

RETRY_AFTER_MAX_SECONDS = 3_600.0
"""The longest pause that the authority may ask for."""

BUSY_SECONDS = 5.0
"""How long to wait for another connection that writes to the file (an application's own tables)."""

KEYS_PER_CHUNK = 500
"""Entities that are folded at once when view tables are rebuilt."""

IMPORT_ROWS_MAX = 100_000
"""Rows of one import: it is one local commit."""

CELL_LENGTH_SHOWN = 60
"""Code points of a value in a table of the command line."""
