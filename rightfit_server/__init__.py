"""The authority: Litestar and PostgreSQL around the core, one folder per question."""
