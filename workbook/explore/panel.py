"""Sliders over a model: what is shown is an ordinary output that a moved slider replaces.

Without anybody to move them (a notebook run by papermill, say) the first picture and its numbers stay as they are, so
the executed notebook shows the same pictures.
"""

import html
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import numpy as np
from IPython.display import HTML, display

from oryx.errors import OryxError
from oryx.processing.images import open_image
from oryx.processing.visuals import Video, Views
from workbook.explore import pictures
from workbook.explore.asking import ask
from workbook.explore.examples import Example, folder, questions

MOVIES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")
RATIOS = {"1x": 1, "4x": 4, "9x": 9, "16x": 16}


class Panel:
    """Controls, a picture and its numbers.

    ``opened``: see :class:`workbook.explore.models.Opened`. ``examples``: what can be chosen, by name. ``own``: the
    path of a file to begin with. ``frames``: whether their number can be chosen.
    """

    def __init__(self, opened: Any, examples: Mapping[str, Example], own: str = "", frames: bool = False):
        self.opened, self.examples, self.handle = opened, dict(examples), None
        plain = {"layout": {"width": "460px", "max_width": "98%"}, "style": {"description_width": "92px"}}
        delayed = plain | {"continuous_update": False}
        sizes = {f"{side}² px": side for side in sides_of(opened.model)} | {"native": "native"}
        self.source = widgets.Dropdown(options=list(examples), description="show", **plain)
        words = questions() if opened.small else ()
        self.question = widgets.Combobox(options=words, description="question", **delayed)
        self.resolution = widgets.SelectionSlider(options=sizes, value="native", description="resolution", **delayed)
        ratio = 4 if frames else 1
        self.compression = widgets.SelectionSlider(options=RATIOS, value=ratio, description="compression", **delayed)
        self.frames = widgets.IntSlider(16, 1, 64, description="frames", **delayed)
        self.path = widgets.Text(placeholder="path of your own file", description="your file", **delayed)
        self.upload = widgets.FileUpload(accept="image/*,video/*", description="or upload")
        asked = [self.source, self.question, self.resolution, self.compression, *[self.frames] * frames]
        for control in asked:
            control.observe(lambda _: self.handle and self.handle.update(self.picture()), "value")
        self.path.observe(lambda change: self._add(change["new"]), "value")
        self.upload.observe(self._uploaded, "value")
        self.controls = [*asked, self.path, self.upload]
        self._add(own)

    def show(self) -> None:
        """Display controls and picture."""
        layout = widgets.Layout(display="flex", flex_flow="row wrap", max_width="100%", overflow="hidden")
        display(widgets.Box(self.controls, layout=layout))
        self.handle = display(self.picture(), display_id=True)

    def picture(self) -> Any:
        """The picture at the settings of the controls, or the message of what is wrong with them.

        A strip of a film or of views; a picture beside its patches. Without a question of one's own, the example's.
        """
        example = self.examples[self.source.value]
        self.question.placeholder = example.question if self.opened.small else "What is this?"
        question, visual = self.question.value.strip() or self.question.placeholder, example.visual
        if isinstance(visual, Video):
            visual = replace(visual, frames=self.frames.value)
        try:
            asked = ask(self.opened.model, visual, question, self.resolution.value, self.compression.value)
            if isinstance(visual, (Video, Views)):
                return pictures.strip(asked)
            return pictures.patches(np.asarray(open_image(visual)), asked)
        except OryxError as error:
            return HTML(f'<p role="alert"><b>{type(error).__name__}</b>: {html.escape(str(error))}</p>')

    def _add(self, path: str) -> None:
        if path:
            self.examples[path] = Example(Video(path) if path.lower().endswith(MOVIES) else path)
            self.source.options = list(self.examples)
            self.source.value = path

    def _uploaded(self, change: dict) -> None:
        for file in change["new"]:
            path = Path(folder().name) / Path(file["name"]).name
            path.write_bytes(bytes(file["content"]))
            self._add(str(path))


def sides_of(model: Any) -> list[int]:
    """Sides S to choose from, areas S², up to what the model reads."""
    most, patch = model.processor.options.high.max_side or 1536, model.processor.patch
    step = 2 * patch if most <= 128 else 128
    return list(range(step, most + 1, step))
