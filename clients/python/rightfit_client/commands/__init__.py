"""The command line of a replica: `rightfit replica ...`, one module per noun."""
