"""The application port: what RightFit asks of the product that runs on it.

An application is a plug-in, named in the settings as `package.module:NAME`. It brings a schema, says who
may write what, and which side effects a change has. Everything else is the server's:

- *Who sees what* follows from the schema's audience and the subject's tags. The server has already
  answered a change of an entity that the subject may not see (as if it did not exist) before `authorize`
  is asked.
- *Receipts.* `effects` is asked once for each change that was accepted, in the transaction that accepts
  it, never for a repeated push. What it returns is carried out later, at least once.

All methods are pure: no I/O, no clock. Source: docs/explanation/semantics.md, section 7.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from rightfit_sync.records import Change, Entity, Outcome
from rightfit_sync.schema.spec import Schema
from rightfit_sync.values import Value


class Subject(msgspec.Struct, frozen=True):
    """A user, as far as permissions go: it sees every entity whose audience shares one of its `tags`."""

    tenant_id: str
    subject_id: str
    tags: frozenset[str]


class Effect(msgspec.Struct, frozen=True):
    """A side effect of a change (`send_sms`, `analyse_photo`): recorded with it, carried out later.

    `payload` is a JSON object; it holds what the effect needs that the change does not say.
    """

    name: str
    payload: Mapping[str, Value] = {}


class Application(Protocol):
    """See the module's docstring for the contract."""

    @property
    def schema(self) -> Schema:
        """The schema of the product's records."""

    @property
    def roles(self) -> Mapping[str, Sequence[str]]:
        """Return role names with the tags that each gives.

        `{subject_id}` and other names in braces are filled in by the command line.
        """

    def authorize(self, subject: Subject, before: Entity | None, change: Change) -> Outcome | None:
        """Return the rejection of `change` on `before` (None: it does not exist yet), or None."""

    def effects(self, before: Entity | None, after: Entity, change: Change) -> Sequence[Effect]:
        """Return the side effects of `change`, which turned `before` into `after`."""
