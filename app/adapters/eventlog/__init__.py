"""The log of a run, which any number of readers follow."""
