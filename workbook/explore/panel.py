"""Sliders over a model: what is shown is an ordinary output that a moved slider replaces.

Without anybody to move them (a notebook run by papermill, say) the first picture and its numbers stay as they are, so
the executed notebook shows the same pictures.
"""

import html
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import numpy as np
from IPython.display import HTML, display

from oryx.errors import OryxError
from oryx.processing.images import open_image
from oryx.processing.visuals import Video, Views
from workbook.explore import pictures
from workbook.explore.asking import Asked, ask
from workbook.explore.examples import Example, questions

MOVIES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")
WIDE = widgets.Layout(width="460px", max_width="98%")
LABEL = {"description_width": "92px"}


class Panel:
    """Controls, a picture and its numbers. ``draw(asked, visual)`` makes the picture of an answer.

    ``opened``: see :class:`workbook.explore.models.Opened`. ``examples``: what can be chosen, by name.
    """

    def __init__(self, opened: Any, examples: Mapping[str, Example], own: str = "", frames: bool = False):
        self.opened, self.model, self.examples = opened, opened.model, dict(examples)
        self.last: Asked | None = None
        self.handle, self.silent, self.kept = None, False, None
        sides = sides_of(self.model)
        self.source = widgets.Dropdown(options=list(self.examples), description="show", layout=WIDE, style=LABEL)
        self.resolution = widgets.SelectionSlider(
            options=[*((f"{side}² px", side) for side in sides), ("native", "native")],
            value="native", description="resolution", layout=WIDE, style=LABEL, continuous_update=False,
        )  # fmt: skip
        self.compression = widgets.SelectionSlider(
            options=[("1x", 1), ("4x", 4), ("9x", 9), ("16x", 16)], value=4 if frames else 1,
            description="compression", layout=WIDE, style=LABEL, continuous_update=False,
        )  # fmt: skip
        self.frames = widgets.IntSlider(
            value=16, min=1, max=64, description="frames", layout=WIDE, style=LABEL, continuous_update=False
        )
        self.question = widgets.Combobox(
            options=questions() if opened.small else [],
            value=self._first().question if opened.small else "What is this?",
            description="question", ensure_option=False, layout=WIDE, style=LABEL, continuous_update=False,
        )  # fmt: skip
        self.path = widgets.Text(
            value="", placeholder="path of your own file", description="your file", layout=WIDE, style=LABEL,
            continuous_update=False,
        )  # fmt: skip
        self.upload = widgets.FileUpload(accept="image/*,video/*", multiple=False, description="or upload")
        shown = [self.source, self.question, self.resolution, self.compression]
        self.controls = [*shown, *([self.frames] if frames else []), self.path, self.upload]
        if own:
            self._add(own)
        self.source.observe(self._chosen, "value")
        self.path.observe(lambda change: change["new"] and self._add(change["new"]), "value")
        self.upload.observe(self._uploaded, "value")
        for control in (self.question, self.resolution, self.compression, self.frames):
            control.observe(lambda _: self.refresh(), "value")

    def show(self) -> None:
        """Display controls and picture."""
        layout = widgets.Layout(display="flex", flex_flow="row wrap", max_width="100%", overflow="hidden")
        display(widgets.Box(self.controls, layout=layout))
        self.handle = display(self.picture(), display_id=True)

    def refresh(self) -> None:
        """Ask again at the settings of the controls and replace the picture."""
        if self.handle is not None and not self.silent:
            self.handle.update(self.picture())

    def picture(self) -> Any:
        """The picture of the present settings, or the message of what is wrong with them."""
        try:
            visual, ratio = self.visual(), self.compression.value
            question = self.question.value.strip() or self._first().question
            self.last = ask(self.model, visual, question, self.resolution.value, ratio)
            return self.draw(self.last, visual)
        except OryxError as error:
            return HTML(f'<p role="alert"><b>{type(error).__name__}</b>: {html.escape(str(error))}</p>')

    def visual(self) -> Any:
        """What is shown, with the wanted number of frames."""
        visual = self._first().visual
        return Video(visual.source, frames=self.frames.value) if isinstance(visual, Video) else visual

    def draw(self, asked: Asked, visual: Any) -> pictures.Shown:
        """The strip of a film or of views; a picture beside its patches."""
        patch = self.model.processor.patch
        if isinstance(visual, (Video, Views)):
            return pictures.strip(asked, patch)
        return pictures.patches(np.asarray(open_image(visual)), asked, patch)

    def _first(self) -> Example:
        return self.examples[self.source.value]

    def _chosen(self, _) -> None:
        self.silent = True  # one picture, not one for the new source and one for its question
        if self.opened.small and self._first().truths:
            self.question.value = self._first().question
        self.silent = False
        self.refresh()

    def _add(self, path: str) -> None:
        visual = Video(path) if path.lower().endswith(MOVIES) else path
        self.examples[path] = Example(path, visual, {})
        self.source.options = list(self.examples)
        self.source.value = path

    def _uploaded(self, change: dict) -> None:
        for file in change["new"]:
            self.kept = self.kept or tempfile.TemporaryDirectory(prefix="oryx-upload-")
            path = Path(self.kept.name) / Path(file["name"]).name
            path.write_bytes(bytes(file["content"]))
            self._add(str(path))


def sides_of(model: Any) -> list[int]:
    """Sides S to choose from, areas S², up to what the model reads."""
    most, patch = model.processor.options.high.max_side or 1536, model.processor.patch
    unit = 2 * patch if most <= 128 else 8 * patch
    return list(range(unit, most + 1, unit)) if most <= 128 else [s for s in range(128, most + 1, 128)]
