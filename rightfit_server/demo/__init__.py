"""The demo: an office and two contractors on the real stack, and an account of every change they made."""
