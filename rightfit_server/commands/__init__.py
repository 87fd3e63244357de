"""The server's side of the `rightfit` command: one module per command, gathered in `entrypoints.cli`."""
