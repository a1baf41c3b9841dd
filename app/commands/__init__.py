"""The commands of `simmer` that are more than a few lines: each module holds one, or one group."""
