"""Ingest: what the authority decides about a push. `decide` is a pure function of the push and a snapshot."""
