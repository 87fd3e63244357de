"""Schemas: kinds, their fields with a merge policy each, groups, references, invariants, audience."""
