"""Every bound of the core, in one place, with its unit last in the name.

The limits are part of the protocol: both sides know them, so that a device refuses a change when it is made
rather than when it is pushed.
"""

PROTOCOL_VERSION = 1
"""The wire version that this library speaks first."""

PROTOCOL_VERSIONS_SPOKEN = (1,)
"""All wire versions that it understands, newest first (N and N-1, once there is an N-1)."""

INTEGER_MAX = 2**53 - 1
"""The greatest integer that every JSON reader keeps exactly."""

DEPTH_MAX = 32
"""Nesting of lists and maps in a whole message."""

VALUE_DEPTH_MAX = 24
"""Nesting of lists and maps inside one value: what a page of the feed puts around it fits into `DEPTH_MAX`."""

TEXT_LENGTH_MAX = 200_000
"""Code points in one text or string value."""

PATH_LENGTH_MAX = 512
"""Code points in one path."""

PATCHES_PER_CHANGE_MAX = 1_000
"""Paths that one change may patch."""

CHANGE_BYTES_MAX = 1_000_000
"""Bytes of one change in its canonical form."""

CHANGES_PER_TRANSACTION_MAX = 500
"""Changes that share one transaction id; a transaction always travels in one push."""

CHANGES_PER_PUSH_MAX = 1_000
"""Changes in one push."""

PUSH_BYTES_MAX = 8_000_000
"""Bytes of one push before compression; the receiver stops inflating beyond it."""

HEALINGS_PER_EXCHANGE_MAX = 4
"""How often one sync may change its device id or compare its copy before it gives up until the next."""

ROWS_PER_PAGE = 2_000
"""Rows that a pull asks for at once; a page is one local commit."""

ROWS_PER_PAGE_MAX = 2_000
"""Rows that a pull may ask for; a page may exceed it only to keep one transaction whole."""

BUCKETS_PER_REQUEST_MAX = 256
"""Buckets that one reconciliation request may ask for."""

LISTINGS_PER_REQUEST_MAX = 16
"""Buckets whose rows one reconciliation request may have listed."""

LISTED_ROWS_MAX = 256
"""Rows of a bucket beyond which a replica narrows it rather than having it listed."""

KEYS_PER_REQUEST_MAX = 500
"""Rows that one reconciliation request may ask for."""

OFFERS_PER_REQUEST_MAX = 200
"""States that one reconciliation request may offer."""

IDS_PER_REPLICA_MAX = 256
"""Device ids that one replica may use in its life."""

DEVICES_PER_VECTOR_MAX = 1_024
"""Devices that one version vector may name."""

ABSENT_DOTS_MAX = 64
"""Dots that an entity remembers as covered by its version vector and not included."""

SIBLINGS_PER_FIELD_MAX = 64
"""Concurrent values kept beside each other in one field; more are rejected with their payload kept."""

DIFF_STEPS_MAX = 300_000
"""Tokens that one text diff may compare before it says "all of this was replaced" (about 0.1 s)."""

DIFF_SLIDE_MAX = 256
"""Code points by which a diff may move an insertion or deletion to whole words."""

DIFF_LETTERS_MAX = 200
"""Code points of an old and a new text that a diff compares letter by letter."""
