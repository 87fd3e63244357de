"""What an application or an adapter tests itself with: authority, devices and stores in memory, laws, a simulator."""

from rightfit_sync.testing.policy_laws import PolicyLawError, check_policy

__all__ = ["PolicyLawError", "check_policy"]
