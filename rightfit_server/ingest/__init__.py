"""Ingest: one push, one transaction: what is locked, decided (by the core), drawn from it, and written."""
