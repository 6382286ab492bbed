"""A clock that a test owns."""


class StillClock:
    """Stands still until the test moves it: both clocks by `advance`, one alone by its attribute."""

    def __init__(self, wall: float = 1_800_000_000.0, running: float = 1_000.0) -> None:
        self.wall = wall
        self.running = running

    def now(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.running

    def advance(self, seconds: float) -> None:
        self.wall += seconds
        self.running += seconds
