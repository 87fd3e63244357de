"""PostgreSQL and Valkey out of their wheels, for `rightfit up`, the demo and the tests."""
