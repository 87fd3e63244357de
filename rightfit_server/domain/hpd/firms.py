"""Contacts become contractors: each line is a firm or a person who answers for a registered building."""

from rightfit_server.domain.hpd.buildings import Buildings
from rightfit_server.domain.hpd.record import Record, entity_id, filled
from rightfit_server.domain.hpd.rows import Row


def contact(row: Row, buildings: Buildings) -> Record:
    """Return the contractor of one line."""
    number = row.text("registrationcontactid") or f"{row.source}:{row.line}"
    person = " ".join(filter(None, (row.text(name) for name in ("firstname", "middleinitial", "lastname"))))
    values = filled(
        name=row.text("corporationname") or person or f"{row.text('type') or 'Contact'} {number}",
        property_id=buildings.property_of(row),
        role=row.text("type"),
        house_number=row.text("businesshousenumber"),
        street=row.text("businessstreetname"),
        city=row.text("businesscity"),
        postcode=row.text("businesszip"),
        notes=", ".join(filter(None, (person, row.text("title"), row.text("contactdescription")))),
        external_ids=filled(hpd_contact=number, hpd_registration=row.text("registrationid")),
    )
    return Record("contractor", entity_id("contractor", number), values, f"{row.source}:{row.line}")
