"""The pure core: every decision of the sync engine, and no I/O."""
