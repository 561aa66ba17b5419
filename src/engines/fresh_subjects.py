"""New simulated subjects for each epoch."""

from ignite.engine import Engine, Events

from ..phantom import SimulatedSubjects


class FreshSubjects:
    """Handler that moves simulated subjects on to those of the epoch that begins, so that none is seen twice.

    Args:
        subjects: what the training reads.
    """

    def __init__(self, subjects: SimulatedSubjects) -> None:
        self.subjects = subjects

    def attach(self, engine: Engine) -> None:
        """Act on ``EPOCH_STARTED``; a resumed training goes on with the subjects of its epoch."""
        engine.add_event_handler(Events.EPOCH_STARTED, lambda: self.subjects.show(engine.state.epoch - 1))
