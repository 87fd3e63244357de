"""Every line of the department's files becomes something, and every reference finds what it names."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from rightfit_server.domain import SCHEMA
from rightfit_server.domain.hpd.buildings import PLACEHOLDER_TAG
from rightfit_server.domain.hpd.plan import Plan, plan
from rightfit_server.domain.hpd.rows import TABLES, Row, rows_of, table_of
from rightfit_sync import Dot, Stamp, apply, create

SAMPLE = Path(__file__).parent.parent.parent / "rightfit_server/demo/sample"


def read(folder: Path) -> dict[str, list[Row]]:
    tables: dict[str, list[Row]] = {}
    for path in sorted(folder.glob("*.csv")):
        table = table_of(path.name)
        assert table is not None, path.name
        with path.open(encoding="utf-8-sig", newline="") as lines:
            tables[table] = rows_of(path.name, csv.DictReader(lines))
    return tables


def row(line: int = 2, **cells: str) -> Row:
    return Row("test.csv", line, cells)


def check(made: Plan) -> None:
    """What the server will ask: each record is legal, and comes after those that it names."""
    known: set[tuple[str, object]] = set()
    for counter, record in enumerate(made.records, 1):
        change = create(record.kind, record.entity_id, record.values, Stamp(Dot("a", counter), 1), SCHEMA)
        _, outcome = apply(None, change, SCHEMA)
        assert outcome.status == "applied", (record.source, outcome)
        for field, reference in SCHEMA.kinds[record.kind].references.items():
            target = record.values.get(field)
            assert target is None or (reference.kind, target) in known, record.source
        known.add((record.kind, record.entity_id))
    assert len(known) == len(made.records)


def one(made: Plan, kind: str) -> Mapping[str, object]:
    (record,) = [record for record in made.records if record.kind == kind]
    return record.values


@pytest.fixture(scope="module")
def sample() -> dict[str, list[Row]]:
    return read(SAMPLE)


def test_our_own_sample_is_whole(sample: Mapping[str, Sequence[Row]]) -> None:
    assert set(sample) == set(TABLES)
    made = plan(sample)
    check(made)
    assert not made.repeated
    counts = made.counts()
    assert counts["work_order"] == sum(
        made.rows[table] for table in ("violations", "complaints_and_problems", "omo_charges")
    )
    assert counts["contractor"] == made.rows["contacts"]
    assert counts["notice"] == made.rows["vacateorders"]


def test_the_real_records_are_whole(shared: Path) -> None:
    made = plan(read(shared / "data/hpd"))
    check(made)
    assert made.rows == {
        **dict.fromkeys(("contacts", "jurisdiction", "registrations", "vacateorders", "violations"), 100),
        "complaints_and_problems": 10,
        "omo_charges": 5,
    }
    counts = made.counts()
    # 363 distinct buildings over all files, and 26 registrations of which no file says the building.
    assert counts["property"] == 363 + 26
    assert made.placeholders == 163 + 26
    assert counts["work_order"] == 100 + 10 + 5
    assert (counts["contractor"], counts["notice"]) == (100, 100)


def test_an_import_made_twice_names_the_same_records(sample: Mapping[str, Sequence[Row]]) -> None:
    assert plan(sample).records == plan(sample).records


def test_one_building_in_three_files_is_one_property() -> None:
    made = plan(
        {
            "registrations": [
                row(buildingid="7", registrationid="70", housenumber="1", streetname="QUAY ROAD")
            ],
            "violations": [row(buildingid="7", violationid="1", latitude="1.5", longitude="2.5")],
            "contacts": [row(registrationid="70", registrationcontactid="3", corporationname="QUAYSIDE LTD")],
        }
    )
    shown = one(made, "property")
    assert (shown["street"], shown["latitude"], shown["registration_number"]) == ("QUAY ROAD", 1.5, "70")
    assert made.placeholders == 0


def test_a_building_without_a_line_of_its_own_is_a_placeholder() -> None:
    made = plan({"contacts": [row(registrationid="70", registrationcontactid="3")]})
    assert made.placeholders == 1
    assert one(made, "property")["tags"] == [PLACEHOLDER_TAG]


def test_a_line_that_names_a_record_again_is_reported() -> None:
    twice = [row(2, buildingid="7", violationid="1"), row(3, buildingid="7", violationid="1")]
    assert list(plan({"violations": twice}).repeated) == ["test.csv:3"]


def test_flats_of_one_building_are_told_apart() -> None:
    lines = [
        row(2, buildingid="7", violationid="1", apartment="2c"),
        row(3, buildingid="7", violationid="2", apartment="2C"),
        row(4, buildingid="8", violationid="3", apartment="2C"),
        row(5, buildingid="8", violationid="4", apartment="BLDG"),
    ]
    assert plan({"violations": lines}).counts()["unit"] == 2


@pytest.mark.parametrize(
    ("table", "cells", "expected"),
    [
        (
            "violations",
            {"class": "C", "violationstatus": "Open"},
            {"priority": "EMERGENCY", "status": "OPEN"},
        ),
        (
            "violations",
            {"violationstatus": "Close", "currentstatusdate": "02/10/2014", "inspectiondate": "10/09/2013"},
            {"status": "CLOSED", "completed_at": "2014-02-10T00:00:00Z", "opened_at": "2013-10-09T00:00:00Z"},
        ),
        ("violations", {"violationstatus": "Close"}, {"status": "OPEN"}),
        (
            "complaints_and_problems",
            {"type": "IMMEDIATE EMERGENCY"},
            {"priority": "EMERGENCY", "status": "OPEN"},
        ),
        ("omo_charges", {"omoawardamount": "1455.52"}, {"cost_pence": 145552, "status": "OPEN"}),
        ("omo_charges", {"omostatusreason": "No Access"}, {"status": "ON_HOLD"}),
        (
            "omo_charges",
            {"omostatusreason": "OMO Completed", "omoawarddate": "07/07/2022"},
            {"status": "CLOSED", "completed_at": "2022-07-07T00:00:00Z"},
        ),
    ],
)
def test_what_a_line_says_is_what_the_work_order_says(
    table: str, cells: Mapping[str, str], expected: Mapping[str, object]
) -> None:
    shown = one(plan({table: [row(buildingid="7", **cells)]}), "work_order")
    assert {name: shown.get(name) for name in expected} == expected


def test_headers_of_all_spellings_are_one() -> None:
    lines = [{"Building ID": "7"}, {"BuildingID": "7"}, {"BUILDING ID": "7"}]
    assert {found.text("buildingid") for found in rows_of("test.csv", lines)} == {"7"}
    assert rows_of("test.csv", [{"REGISTRATION ID": "0"}])[0].text("registrationid") is None


def test_a_date_that_is_none_is_left_out() -> None:
    assert row(day="02/30/2014").date("day") is None
    assert row(count="many").number("count") is None


def test_unknown_files_are_named_so() -> None:
    assert table_of("hpd_violations.csv") == "violations"
    assert table_of("weather.csv") is None
