"""Causality: who had seen what. Dots name changes, version vectors say which of them are included."""
