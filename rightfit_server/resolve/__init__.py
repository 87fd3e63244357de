"""Resolve: a person decides a conflict through the API rather than on a device."""
