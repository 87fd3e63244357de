"""Buildings and their flats: one property per distinct building over all files, whichever file names it.

The files hardly join: violations, registrations and contacts of a sample name different buildings. A
reference is never left out for that. A building without a line of its own (in registrations or
jurisdiction) is a *placeholder*, tagged so: it holds what other files say in passing. A contact names only a
registration; where no file says which building that is, the registration itself stands for it.
"""

from collections.abc import Iterable, Mapping, Sequence

from rightfit_server.domain.hpd.record import Record, entity_id, filled
from rightfit_server.domain.hpd.rows import Row
from rightfit_sync.values import Value

OWN_LINES = ("registrations", "jurisdiction")
"""Tables with a line per building."""

PLACEHOLDER_TAG = "placeholder"

_BOROUGHS = {"BK": "BROOKLYN", "BX": "BRONX", "MN": "MANHATTAN", "QN": "QUEENS", "SI": "STATEN ISLAND"}
_NOT_A_FLAT = frozenset({"BLDG", "BUILDING", "PUBLIC"})


class Buildings:
    """The properties and units that the rows of all tables speak of."""

    def __init__(self, tables: Mapping[str, Sequence[Row]]) -> None:
        self._rows: dict[str, list[Row]] = {}
        self._described: set[str] = set()
        self._by_registration: dict[str, str] = {}
        self._units: dict[str, Record] = {}
        for table, rows in tables.items():
            for row in rows:
                self._note(table, row)
        for row in (row for rows in tables.values() for row in rows):
            self._rows.setdefault(self._name(row), []).append(row)

    def _note(self, table: str, row: Row) -> None:
        building, registration = row.text("buildingid"), row.text("registrationid")
        if building is None:
            return
        if table in OWN_LINES:
            self._described.add(building)
        if registration is not None:
            self._by_registration.setdefault(registration, building)

    def _name(self, row: Row) -> str:
        building, registration = row.text("buildingid"), row.text("registrationid")
        if building is not None:
            return building
        if registration is None:
            return f"{row.source}:{row.line}"
        return self._by_registration.get(registration, f"registration {registration}")

    def property_of(self, row: Row) -> str:
        """Return the id of the property that `row` speaks of."""
        return entity_id("property", self._name(row))

    def unit_of(self, row: Row) -> str | None:
        """Return the id of the flat that `row` speaks of, or None where it is about the building."""
        flat = row.text("apartment")
        if (
            flat is None
            or flat.upper() in _NOT_A_FLAT
            or row.text("unittype") in ("PUBLIC AREA", "BUILDING-WIDE")
        ):
            return None
        unit_id = entity_id("unit", self._name(row), flat.upper())
        if unit_id not in self._units:
            values = filled(property_id=self.property_of(row), name=flat, floor=row.text("story"), use="FLAT")
            self._units[unit_id] = Record("unit", unit_id, values, f"{row.source}:{row.line}")
        return unit_id

    def units(self) -> list[Record]:
        """Return the flats that were asked for so far."""
        return list(self._units.values())

    def properties(self) -> list[Record]:
        """Return every property, placeholders last."""
        names = sorted(self._rows, key=lambda name: name not in self._described)
        return [self._property(name, self._rows[name]) for name in names]

    @property
    def placeholder_count(self) -> int:
        """How many properties have no line of their own."""
        return len(self._rows) - len(self._described)

    def _property(self, name: str, rows: Sequence[Row]) -> Record:
        # Contacts hold a firm's address, which is not the building's.
        speaking = [row for row in rows if row.text("buildingid") is not None]
        city = _first(speaking, "borough", "boro")
        values = filled(
            **_address(speaking, None if city is None else _BOROUGHS.get(city.upper(), city.upper())),
            **_location(speaking),
            name=None if speaking else f"Building of {name}",
            registration_number=_first(rows, "registrationid"),
            registered_until=_latest(row.date("registrationenddate") for row in rows),
            storeys=next((int(found) for row in rows if (found := row.number("legalstories"))), None),
            tags=[] if name in self._described else [PLACEHOLDER_TAG],
            external_ids=filled(
                hpd_building=_first(speaking, "buildingid"),
                bin=_first(speaking, "bin"),
                bbl=_first(speaking, "bbl"),
            ),
        )
        return Record("property", entity_id("property", name), values, f"{rows[0].source}:{rows[0].line}")


def _address(rows: Sequence[Row], city: str | None) -> dict[str, Value]:
    for row in rows:
        street = row.text("streetname", "street")
        if street is not None:
            house = row.text("housenumber", "number")
            return filled(
                house_number=house,
                street=street,
                city=city,
                postcode=_first(rows, "zip", "postcode", "postcode"),
            )
    return filled(city=city)


def _location(rows: Sequence[Row]) -> dict[str, Value]:
    for row in rows:
        latitude, longitude = row.number("latitude"), row.number("longitude")
        if latitude is not None and longitude is not None:
            return {"latitude": latitude, "longitude": longitude}
    return {}


def _first(rows: Iterable[Row], *names: str) -> str | None:
    return next((found for row in rows if (found := row.text(*names)) is not None), None)


def _latest(dates: Iterable[str | None]) -> str | None:
    return max((date for date in dates if date is not None), default=None)
