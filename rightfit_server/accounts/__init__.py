"""Accounts: who is who. For now a device has a token; log-ins, invitations and passwords will live here."""
