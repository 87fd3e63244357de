"""What an application or an adapter tests itself with: an authority, stores and a network in memory, laws."""

from rightfit_sync.testing.policy_laws import PolicyLawError, check_policy

__all__ = ["PolicyLawError", "check_policy"]
