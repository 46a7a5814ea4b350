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
from IPython.display import HTML, display

from oryx.errors import OryxError
from oryx.processing.visuals import Video, Views
from workbook.explore import pictures
from workbook.explore.asking import ask, table
from workbook.explore.examples import WORDS, Example, folder, held_out, own_files, typed
from workbook.explore.released import by_the_rules

RATIOS = {"1x, 4x, 16x": (1, 4, 16), "1x": (1,), "4x": (4,), "9x": (9,), "16x": (16,)}


class Panel:
    """Controls, numbers and a picture.

    ``opened``: see :class:`workbook.explore.models.Opened`. ``examples``: what can be chosen, by name. ``own``: the
    path of a file to begin with. ``of``: "pictures", where a number or word can be typed too; "videos", where the
    number of frames can be chosen; "views", where files of one's own are those of one scene.
    """

    def __init__(self, opened: Any, examples: Mapping[str, Example], own: str = "", of: str = "pictures"):
        self.opened, self.examples, self.together = opened, dict(examples), of == "views"
        self.handle = self.failed = None
        plain = {"layout": {"width": "440px", "max_width": "98%"}, "style": {"description_width": "92px"}}
        delayed = plain | {"continuous_update": False}
        most = opened.model.processor.options.high.max_side or 1536  # S of areas S²: up to what the model reads
        sizes = {f"{side}² px": side for side in range(most // 6, most + 1, most // 6)} | {"native": "native"}
        self.source = widgets.Dropdown(options=list(examples), description="show", **plain)
        self.question = widgets.Dropdown(description="question", **plain)
        if not opened.small:
            self.question = widgets.Text("What is this?", description="question", **delayed)
        self.compression = widgets.SelectionSlider(options=RATIOS, description="compression", **delayed)
        self.resolution = widgets.SelectionSlider(options=sizes, value="native", description="resolution", **delayed)
        self.frames = widgets.IntSlider(16, 1, 64, description="frames", **delayed)
        self.typed = widgets.Text(placeholder="a number or a word", description="or type", **delayed)
        paths = "its path" + ", or several with ; between them" * self.together
        self.path = widgets.Text(placeholder=paths, description="your file", **delayed)
        self.upload = widgets.FileUpload(accept="image/*,video/*", multiple=True, description="or upload")
        asked = [self.source, self.question, self.compression, self.resolution, *[self.frames] * (of == "videos")]
        self.source.observe(self._chosen, "value")
        for control in asked[1:]:
            control.observe(self._redraw, "value")
        self.typed.observe(lambda change: self._add(lambda: {f"“{change['new']}”": typed(change["new"])}), "value")
        self.path.observe(lambda change: self._add_files(change["new"]), "value")
        self.upload.observe(self._uploaded, "value")
        self.controls = [*asked, *[self.typed] * (of == "pictures"), self.path, self.upload]
        self._chosen()
        self._add_files(own)

    def show(self) -> None:
        """Display controls and picture."""
        layout = widgets.Layout(display="flex", flex_flow="row wrap", max_width="100%", overflow="hidden")
        display(widgets.Box(self.controls, layout=layout))
        self.handle = display(self.picture(), display_id=True)

    def picture(self) -> Any:
        """What the controls ask for, or the message of what is wrong with it.

        Of an example its answers at one ratio or several with truth, mark and held-out score; of a file of one's own
        what the released rules make of it, and below that the answers.
        """
        failed, self.failed = self.failed, None
        try:
            if failed:
                raise failed
            return self._answered(self.examples[self.source.value], self.question.value)
        except OryxError as error:
            return HTML(f'<p role="alert"><b>{type(error).__name__}</b>: {html.escape(str(error))}</p>')

    def _answered(self, example: Example, question: str) -> Any:
        model, size, visual = self.opened.model, self.resolution.value, example.visual
        if isinstance(visual, Video):
            visual = replace(visual, frames=self.frames.value)
        truth = example.truths.get(question, "")
        asked = {f"{ratio}x": ask(model, visual, question, size, ratio, truth) for ratio in self.compression.value}
        first, numbers = next(iter(asked.values())), table(asked)
        if truth and self.opened.small:
            numbers["held-out score"] = [held_out(example, question, one) for one in asked.values()]
        moving = isinstance(visual, (Video, Views))
        shown = pictures.strip(first, numbers) if moving else pictures.ways(asked, numbers)
        if example.truths or not self.opened.small:
            return shown
        pixels = example.pixels
        rules = by_the_rules(pixels, len(first.views) * moving)
        values = {"most": model.processor.options.high.max_side, "size": first.numbers["size"]}
        caution = WORDS["caution"].format(own=f"{pixels.width} x {pixels.height} px", **values)
        title = WORDS["rules"].format(name=html.escape(self.source.value))
        return HTML(title + rules._repr_html_() + caution + shown._repr_html_())

    def _redraw(self, _: Any = None) -> None:
        if self.handle:
            self.handle.update(self.picture())

    def _chosen(self, _: Any = None) -> None:
        """Offer the questions of what is shown; of a file of one's own all that the model knows."""
        if self.opened.small:
            words = self.examples[self.source.value].truths or self.opened.model.config.questions
            handle, self.handle = self.handle, None  # the question changes too, and is drawn once
            self.question.options = {f"{word}: {WORDS['questions'][word]}": word for word in words}
            self.question.value = next(iter(words))
            self.handle = handle
        self._redraw()

    def _add_files(self, text: str) -> None:
        if paths := [path.strip() for path in text.split(";") if path.strip()]:
            self._add(lambda: own_files(paths, self.together))

    def _add(self, make: Any) -> None:
        """Let what ``make`` gives be chosen, if all of it opens."""
        try:
            made = make()
            for example in made.values():
                self.opened.model.processor.prepare(example.visual)
        except OryxError as error:
            self.failed = error
            return self._redraw()
        self.examples |= made
        name, handle, self.handle = next(iter(made)), self.handle, None
        self.source.options = list(self.examples)
        self.source.value, self.handle = name, handle
        self._chosen()

    def _uploaded(self, change: Mapping[str, Any]) -> None:
        files = {Path(folder().name) / Path(file["name"]).name: bytes(file["content"]) for file in change["new"]}
        for path, content in files.items():
            path.write_bytes(content)
        self._add_files(";".join(map(str, files)))
