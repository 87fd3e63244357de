"""The small sample of records that comes along, for those who have none."""

from importlib.resources import as_file, files

from rightfit_server.domain.hpd.folder import read_folder
from rightfit_server.domain.hpd.plan import Plan


def read_sample() -> Plan:
    """Return the plan for it."""
    with as_file(files("rightfit_server.demo") / "sample") as folder:
        return read_folder(folder)[0]
