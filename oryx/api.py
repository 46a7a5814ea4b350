"""What most people need: a model by its name, and what a question can be about.

``load(name).ask(visual, question)``, where the visual is an image, ``Images``, ``Views`` or a ``Video``.
"""

from oryx.model.convert import convert
from oryx.model.loading import load
from oryx.processing.visuals import Images, Video, Views

__all__ = ["Images", "Video", "Views", "convert", "load"]
