"""The sample application: a field of every policy, references with every consequence, records that change hands.

A crew sees its jobs, their sites (lent) and their memos (inherited); the office sees everything. A job that is deleted
takes its memos along, and these the replies to them. The kind `part` and
the field `remark` are new in this schema: an app of the version before knows neither.
"""

from typing import Final

import msgspec

from rightfit_sync.schema.spec import Schema

_TRANSITIONS: Final = {
    "OPEN": ["ASSIGNED", "REFUSED"],
    "ASSIGNED": ["IN_PROGRESS", "OPEN"],
    "IN_PROGRESS": ["DONE"],
}
_AUDIENCE: Final = ["office", "crew:{crew}"]
_JOB: Final = {
    "fields": {
        "title": {"type": "str"},
        "notes": {"merge": "text", "type": "str"},
        "log": {"merge": "text", "type": "str", "on_overlap": "merge"},
        "tags": {"merge": "set", "type": "str"},
        "cost": {"merge": "counter", "type": "int"},
        "meta": {"merge": "map", "type": "map", "element": {"type": "str"}},
        "items": {
            "merge": "keyed_list",
            "type": "list",
            "fields": {"text": {"type": "str"}, "note": {"merge": "text", "type": "str"}},
        },
        "high": {"merge": "maximum", "type": "int"},
        "low": {"merge": "minimum", "type": "int"},
        "status": {"merge": "workflow", "type": "str", "transitions": _TRANSITIONS},
        "serial": {"merge": "once", "type": "str"},
        "analysis": {"merge": "server", "type": "str"},
        "stage": {"merge": "workflow", "type": "str", "transitions": _TRANSITIONS},
        "by": {"type": "str"},
        "start": {"type": "int"},
        "end": {"type": "int"},
        "earliest": {"type": "int"},
        "latest": {"type": "int"},
        "site_id": {"type": "str"},
        "crew": {"type": "str"},
        "remark": {"type": "str"},
    },
    "groups": {
        "completion": {"members": ["stage", "by"], "lead": "stage"},
        "schedule": {"members": ["start", "end"]},
    },
    "invariants": {"window": {"rule": "ordered", "fields": ["earliest", "latest"]}},
    "references": {"site_id": {"kind": "site", "on_delete": "restrict", "lends_audience": True}},
    "audience": _AUDIENCE,
}

SCHEMA: Final = msgspec.convert(
    {
        "schema_version": 2,
        "kinds": {
            "site": {"fields": {"title": {"type": "str"}}, "audience": ["office"]},
            "job": _JOB,
            "memo": {
                "fields": {"title": {"type": "str"}, "job_id": {"type": "str"}},
                "references": {"job_id": {"kind": "job", "on_delete": "cascade", "inherits_audience": True}},
                "audience": ["office"],
            },
            "reply": {
                "fields": {"title": {"type": "str"}, "memo_id": {"type": "str"}},
                "references": {"memo_id": {"kind": "memo", "on_delete": "cascade"}},
                "audience": ["office"],
            },
            "task": {
                "fields": {"title": {"type": "str"}, "site_id": {"type": "str"}, "crew": {"type": "str"}},
                "references": {"site_id": {"kind": "site", "on_delete": "set_null"}},
                "audience": _AUDIENCE,
            },
            "part": {
                "fields": {"title": {"type": "str"}, "stock": {"merge": "counter", "type": "decimal"}},
                "audience": ["office", "crew:a", "crew:b"],
                "on_delete_conflict": "delete",
            },
        },
    },
    Schema,
)
"""Every merge policy, every consequence of a delete, every way to see a record."""
