"""The records of the simulated world: a field of every policy, and references with every consequence."""

import msgspec

from rightfit_sync import Change, Schema
from rightfit_sync.records import Entity, Outcome, rejected
from tests.simulation.model import TEXTS, TRANSITIONS

AUDIENCE = ["everybody"]
JOB = {
    "fields": {
        "title": {"type": "str"},
        "notes": {"merge": "text", "type": "str"},
        "log": {"merge": "text", "type": "str", "on_overlap": "merge"},
        "tags": {"merge": "set", "type": "str"},
        "cost": {"merge": "counter", "type": "int"},
        "meta": {"merge": "map", "type": "map", "element": {"type": "str"}},
        "items": {"merge": "keyed_list", "type": "list", "fields": {"text": {"type": "str"}}},
        "high": {"merge": "maximum", "type": "int"},
        "low": {"merge": "minimum", "type": "int"},
        "status": {"merge": "workflow", "type": "str", "transitions": TRANSITIONS},
        "serial": {"merge": "once", "type": "str"},
        "stage": {"merge": "workflow", "type": "str", "transitions": TRANSITIONS},
        "by": {"type": "str"},
        "start": {"type": "int"},
        "end": {"type": "int"},
        "site_id": {"type": "str"},
    },
    "groups": {
        "completion": {"members": ["stage", "by"], "lead": "stage"},
        "schedule": {"members": ["start", "end"]},
    },
    "references": {"site_id": {"kind": "site", "on_delete": "restrict"}},
    "audience": AUDIENCE,
}
SCHEMA = msgspec.convert(
    {
        "schema_version": 1,
        "kinds": {
            "site": {"fields": {"title": {"type": "str"}}, "audience": AUDIENCE},
            "job": JOB,
            **{
                kind: {
                    "fields": {"title": {"type": "str"}, "site_id": {"type": "str"}},
                    "references": {"site_id": {"kind": "site", "on_delete": on_delete}},
                    "audience": AUDIENCE,
                }
                for kind, on_delete in (("memo", "cascade"), ("task", "set_null"))
            },
        },
    },
    Schema,
)
REGISTERS = ("title", "meta/colour", "meta/size", "items/1/text", "items/2/text")
GROUPS = ("completion", "schedule")
MERGING = {*TEXTS, "cost", "high", "low", "status", "completion"}
FORBIDDEN = "forbidden"
FIRST_LETTER = 0xAC00
"""The first of 11,172 letters (Hangul) that are typed once each, so that one can be told from another."""
FIRST_IDEOGRAPH = 0x4E00
"""The first of 20,992 characters that are each a word of its own: where edits of one text always merge, what
a word that two people have rewritten was made of is not told by the texts alone."""


def authorize(_subject: str, _entity: Entity | None, change: Change) -> Outcome | None:
    said = any(patch.value == FORBIDDEN for patch in change.patches.values())
    return rejected("forbidden", "not this word") if said else None
