"""LIBERO's tasks that the scripted expert solves from fewer than half of their initial states, and why.

docs/libero_tasks.md has its rate on every task.
"""

UNSOLVED: dict[str, str] = {
    "KITCHEN_SCENE6_put_the_yellow_and_white_mug_in_the_microwave_and_close_it": (
        "the mug has to go in sideways, held by its handle with the hand level; the expert carries things from above only"
    ),
}
