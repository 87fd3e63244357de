"""Merge policies: how concurrent values of one path become one, or stay beside each other as a conflict."""
