"""A gateway reads its file again while it serves: when it is asked to, and when the file changes."""
