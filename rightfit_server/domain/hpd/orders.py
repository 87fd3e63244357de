"""Vacate orders become notices."""

from rightfit_server.domain.hpd.buildings import Buildings
from rightfit_server.domain.hpd.record import Record, entity_id, filled
from rightfit_server.domain.hpd.rows import Row


def vacate_order(row: Row, buildings: Buildings) -> Record:
    """Return the notice of one vacate order."""
    number = row.text("vacateordernumber") or f"{row.source}:{row.line}"
    units = row.number("numberofvacatedunits")
    values = filled(
        property_id=buildings.property_of(row),
        number=number,
        reason=row.text("primaryvacatereason"),
        extent="ENTIRE" if row.text("vacatetype") == "Entire Building" else "PARTIAL",
        effective_on=row.date("vacateeffectivedate"),
        rescinded_on=row.date("rescinddate"),
        units_vacated=None if units is None else int(units),
    )
    return Record("notice", entity_id("notice", number), values, f"{row.source}:{row.line}")
