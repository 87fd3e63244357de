"""PostgreSQL: migrations, the pool, transactions of one tenant, and what is read and written in them."""

from rightfit_server.postgres.migrate import migrate

__all__ = ["migrate"]
