"""RightFit as the server's plug-in: `application = "rightfit_server.domain:APPLICATION"` in the settings."""

from collections.abc import Mapping, Sequence

from rightfit_server.domain.effects import effects
from rightfit_server.domain.permissions import ROLES, authorize
from rightfit_server.domain.schema import SCHEMA
from rightfit_server.ports.application import Application, Effect, Subject
from rightfit_sync.records import Change, Entity, Outcome
from rightfit_sync.schema.spec import Schema


class PropertyMaintenance:
    """See `rightfit_server.ports.application.Application` for the contract."""

    @property
    def schema(self) -> Schema:
        """The schema of property maintenance."""
        return SCHEMA

    @property
    def roles(self) -> Mapping[str, Sequence[str]]:
        """Return `landlord` and `contractor` with their tags."""
        return ROLES

    def authorize(self, subject: Subject, before: Entity | None, change: Change) -> Outcome | None:
        """Return the rejection of `change` by `subject`, or None; see `permissions`."""
        return authorize(subject, before, change)

    def effects(self, before: Entity | None, after: Entity, change: Change) -> Sequence[Effect]:
        """Return the side effects of `change`; see `effects`."""
        return effects(before, after, change)


APPLICATION: Application = PropertyMaintenance()
