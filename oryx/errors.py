"""The errors a user can meet. Each message says what was expected and what came.

``exit_code`` is what ``python -m oryx`` returns when the error reaches the command line.
"""


class OryxError(Exception):
    """Base of every error raised on purpose by this package."""

    exit_code = 3


class InputError(OryxError, ValueError):
    """An image, video, question or other user input that cannot be used."""


class CheckpointError(OryxError, ValueError):
    """Weights or a configuration that are missing, truncated or of the wrong shape."""

    exit_code = 2


class SettingsError(OryxError, ValueError):
    """An unknown, mistyped or contradictory setting; raised before any long work."""

    exit_code = 2


class RunError(OryxError, RuntimeError):
    """A run that cannot start or go on (locked shard, unreadable rows, full disk)."""


class MissingResource(OryxError, RuntimeError):
    """Something that this machine lacks: weights, a benchmark, a GPU, an optional package."""

    exit_code = 2
