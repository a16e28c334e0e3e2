"""One file a target; each defines TARGET."""
