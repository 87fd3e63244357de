"""The replica: one SQLite file per device, a view to query, and an outbox that survives anything."""
