"""Write-once: a second, different value never takes the first one's place; it stands beside it, a conflict."""

from rightfit_sync.merge.policy import Policy
from rightfit_sync.values import Value, same


class Once(Policy):
    """A value set once (a certificate's number, a signature). Only a resolution replaces it."""

    def may_replace(self, current: Value, mine: Value) -> bool:
        """Whether `current` is null or the very value that is written again."""
        return current is None or same(current, mine)
