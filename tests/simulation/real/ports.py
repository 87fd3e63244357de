"""Where devices and authorities of the second mode come from: `rightfit_sync.testing.simulation.world.Ports`."""

from pathlib import Path

from rightfit_sync.schema.spec import Schema
from rightfit_sync.testing.simulation.ports import Authorize, Installation
from tests.server.world import Database
from tests.simulation.real.authority import RealAuthority
from tests.simulation.real.device import RealDevice
from tests.simulation.real.disk import removed


class RealPorts:
    """One world at a time: a new authority ends the world before."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self._folder = folder
        self._authority: RealAuthority | None = None
        self._devices: list[RealDevice] = []

    def authority(self, schema: Schema, authorize: Authorize) -> RealAuthority:
        """Make an authority, in an empty database."""
        self.close()
        self._authority = RealAuthority(self._database, schema, authorize)
        return self._authority

    def device(self, installation: Installation) -> RealDevice:
        """Make a device, with a file of its own."""
        device = RealDevice(self._folder / installation.token, installation)
        self._devices.append(device)
        return device

    def ailing(self) -> list[str]:
        """Return what the doctor finds wrong on the devices, and the audit in the database, of the last world."""
        found = [f"{device.token}: {one}" for device in self._devices for one in device.ailing()]
        return found + [f"audit: {one}" for one in (self._authority.ailing() if self._authority else ())]

    def close(self) -> None:
        """End the world."""
        for device in self._devices:
            device.close()
        self._devices.clear()
        if self._authority is not None:
            self._authority.close()
            self._authority = None
        for home in self._folder.iterdir():
            removed(home)
