"""RightFit itself: property maintenance as a plug-in of the server, the only room that knows landlords."""

from rightfit_server.domain.application import APPLICATION
from rightfit_server.domain.schema import SCHEMA

__all__ = ["APPLICATION", "SCHEMA"]
