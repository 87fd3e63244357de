"""Where processes begin."""
