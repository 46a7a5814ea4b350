"""Two qualitative probes: where regional attention puts its weight, and what an arm answers about the real clips."""

import torch

from oryx.eval.generate import ask, read_videos
from oryx.grids import uniform_indices
from oryx.model.inspect import compressor_attention
from oryx.model.modeling import OryxForConditionalGeneration
from workbook.data import corpora
from workbook.data.stories import QUESTIONS
from workbook.studies.compressor.arms import CLIP_FRAMES, STORY
from workbook.studies.compressor.cells import picture_side, short_cells, story
from workbook.studies.compressor.features import Features
from workbook.studies.compressor.settings import Settings
from workbook.studies.frames import compressed, on_device


@torch.inference_mode()
def probes(settings: Settings, arm: str, model: OryxForConditionalGeneration, features: Features) -> dict:
    """What an arm's weights and answers show.

    ``attention`` (of the compressor itself): one line per row of a map of a video shown, the weight of each of its
    tokens over the uniform one under the number of its column. ``answers``: to all questions about the real clips,
    which have no known truth.
    """
    side, maps, answers = picture_side(settings), [], []
    shown = {"story": (story(settings, "short", STORY).path, None)}
    shown |= {clip.id: (clip.path, uniform_indices(clip.frames, CLIP_FRAMES)) for clip in corpora.clips()}
    for name, frames in shown.items():
        for cell in short_cells(settings, arm):
            if arm in ("dynamic", "on_demand") and cell.ratio > 1:
                video = on_device(model, features.cache(side).encode(*frames))
                weights = compressor_attention(model.compressor, video.tokens, video.grid, cell.region)
                for frame, grid in enumerate(weights.double().numpy().round(4)):
                    place = {"film": name, "ratio": cell.ratio, "frame": frame}
                    maps += [{**place, "row": i, **dict(enumerate(row.tolist()))} for i, row in enumerate(grid)]
            if name != "story":
                video = features.cache(cell.side).encode(*frames)
                read = read_videos(model, [compressed(model, video, cell.region)])
                given = {question: ask(read, [question], [""])[0]["answer"] for question in QUESTIONS.values()}
                answers.append({"arm": arm, "clip": name, "ratio": cell.ratio, **given})
    return {"attention": maps, "answers": answers}
