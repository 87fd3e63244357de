"""The fixtures of tests that need a server on PostgreSQL."""

from tests.server.fixtures import database, template, world

__all__ = ["database", "template", "world"]
