"""What an operator does: find the database, enter devices. The commands and the demo stand on it."""
