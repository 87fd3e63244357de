"""An authority at which everybody may see everything."""

from rightfit_sync import Schema
from rightfit_sync.testing.authority import MemoryAuthority
from rightfit_sync.testing.device import MemoryDevice


def authority_of(schema: Schema, *devices: MemoryDevice) -> MemoryAuthority:
    """Return an authority that knows `devices`."""
    authority = MemoryAuthority(schema)
    authority.grant("everybody", ["all"])
    for device in devices:
        authority.register(device.device_id, "everybody")
    return authority
