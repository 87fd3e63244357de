"""The feed: cutting pages of it for one subject, and waiting for more."""
