"""Ports: what the server asks of others, as Protocols. Adapters are built in `bootstrap` alone."""
