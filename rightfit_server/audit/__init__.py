"""The audit: is the promise kept on a live database? Reads everything, changes nothing."""
