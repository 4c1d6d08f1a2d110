"""LIBERO's tasks that the scripted expert does not solve, and why (docs/libero_tasks.md has its rates)."""

UNSOLVED: dict[str, str] = {}
