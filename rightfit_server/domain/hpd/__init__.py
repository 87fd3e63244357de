"""From the open records of New York's housing department (HPD) to RightFit's own: rows in, records out."""
