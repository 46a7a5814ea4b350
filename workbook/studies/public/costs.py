"""What a run at scale ``small`` takes, by arithmetic on shapes: hours, memory, disk, dollars. Nothing is loaded.

Operations are those of :func:`oryx.processing.fit.operations`, forward; a part that learns takes three times as many, a
language model that only passes gradients on to the projector twice. Assumed, as no record has been opened: pictures and
videos of one usual size, :data:`SHARE` of the GPU's peak, :data:`ANSWER` seconds for an answer. Memory is that of a
step whose records are all as long as they may be.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import ceil
from statistics import mean

from oryx.errors import OryxError
from oryx.grids import patch_grid
from oryx.processing import fit
from oryx.processing.context import PATCH
from oryx.processing.shapes import KNOWN, Shape
from oryx.processing.sizes import Partition
from workbook.studies.public.settings import STAGES, Course, PublicSettings
from workbook.studies.released import items_of

PICTURE, FRAME = (480, 640), (720, 1280)
"""(height, width) of a picture and of a frame in pixels; assumed."""
SHARE, ANSWER = 0.35, 0.4
"""Of the GPU's peak that is reached; seconds of a question's prompt and answer. Assumed."""
KEPT, TRAINED, CAST = 4, 12, 2
"""Bytes of a weight in float32; of its gradient and AdamW's two moments beside it; of its copy in bfloat16."""
ACTIVATION, LOGIT, SUPERVISED = 34, 12, 64
"""Bytes that a transformer's block keeps for the backward pass, for each token and channel, without attention weights
(Korthikanti et al., arXiv 2205.05198); bytes of a logit with its copies and its gradient; supervised tokens of a
record, assumed."""

Courses = Mapping[str, Course]
"""Job of a seed -> how it comes to its model."""


def shape_of(settings: PublicSettings) -> Shape:
    """The shape of the model that a run trains; nothing is fetched of parts in ``shapes.toml``.

    Raises MissingResource or CheckpointError for parts that are not there or of an unknown kind.
    """
    parts = {"vision_config": settings.siglip, "text_config": settings.language_model}
    return Shape.of({field: _config(name) for field, name in parts.items()}, " and ".join(parts.values()))


def _config(name: str) -> dict:
    from transformers import AutoConfig

    from oryx.model.loading import resolve

    if name in KNOWN["parts"]:
        return KNOWN["parts"][name]
    config = AutoConfig.from_pretrained(resolve(name, ("config.json",)))
    own = getattr(config, "vision_config", config)  # of a part: there is no language model beside a tower
    return own.to_dict() | ({"patch_size": PATCH, "position_grid": 128} if "siglip" in own.model_type else {})


def shown(settings: PublicSettings, course: Course, video: bool) -> list[fit.Shown]:
    """A usual picture as a course shows it, or a video in each of its ways."""
    if not course.seeing:
        return [fit.Shown(0, 0, 0, 0, 0)]
    if video:
        return [fit.video(settings.frames, FRAME, side**2) for side in course.sides.get("video", (2,))]
    if isinstance(view := course.view, Partition):
        rows, columns = view.canvas(PICTURE)
        return [fit.frames_of(1 + rows * columns, (view.side // PATCH,) * 2, 1)]
    size = view.target(PICTURE, 32) if view else settings.options.high.target(PICTURE)
    return [fit.frames_of(1, patch_grid(size, PATCH), 1)]


def stage_costs(shape: Shape, settings: PublicSettings, course: Course, stage: str) -> tuple[float, float]:
    """Hours of one stage of a course, and GB in its worst step."""
    trains, joint = stage == "pretrain", stage == "joint"
    kinds = [one for video in (False, True)[: 1 + joint] for one in shown(settings, course, video)]
    encoding, reading = (mean(own) for own in zip(*(fit.operations(shape, one) for one in kinds), strict=True))
    operations = encoding * (3 if trains else 1) + reading * (2 if stage == "align" else 3)
    records = settings.stage_steps[STAGES.index(stage)] * settings.stage_batch
    parts = {name: size / KEPT for name, size in shape.weights("fp32").items()}
    learn = [name for name in parts if name == "projector" or (stage != "align" and (trains or name != "tower"))]
    tower, text = (own["num_hidden_layers"] * own["hidden_size"] for own in (shape.tower, shape.text))
    kept = (settings.longest * text + trains * (settings.most_side // PATCH) ** 2 * tower) * ACTIVATION
    kept = (kept + SUPERVISED * shape.text["vocab_size"] * LOGIT) * ceil(settings.stage_batch / settings.accumulate)
    held = sum(parts.values()) * (KEPT + CAST) + sum(parts[name] for name in learn) * TRAINED
    return records * operations / (settings.tera * fit.TERA * SHARE * 3600), (held + kept + fit.FIXED) / fit.GIGA


def costs(settings: PublicSettings, courses: Courses, arms: Sequence[str], questions: int) -> dict[str, float]:
    """Of a whole run, all seeds: hours of ``training`` and ``asking``, GB of ``memory`` and ``disk``.

    ``courses``: of all jobs of a seed; ``arms``: those that are asked so many ``questions``. An answer takes far longer
    than reading what it is about.
    """
    shape, seeds = shape_of(settings), len(settings.seeds)
    spent = [stage_costs(shape, settings, own, stage) for own in courses.values() for stage in own.stages]
    hours, held = map(list, zip(*spent, strict=True))
    ways = sum((1 + courses[arm].seeing) * len(courses[arm].sides.get("video", (1,))) for arm in arms)
    disk = sum(shape.weights("fp32").values()) * (len(courses) * seeds + 1 + TRAINED / KEPT)
    asking = ways * questions * ANSWER * seeds / 3600
    return {"training": sum(hours) * seeds, "asking": asking, "memory": max(held), "disk": disk / fit.GIGA}


def described(settings: PublicSettings, courses: Courses, arms: Sequence[str]) -> dict[str, str | float]:
    """Lines of a plan."""
    questions = 0
    with suppress(OryxError):  # copies that are not there: the check says so
        questions = sum(map(len, items_of(settings).values()))
    found = costs(settings, courses, arms, questions)
    hours, said = found["training"] + found["asking"], "{training:.1f} to train, {asking:.1f} to ask".format(**found)
    said += f" {questions:,} questions of the copies there are, at an assumed {SHARE:.0%} of {settings.tera:g} TFLOP/s"
    return {
        "arms": f"{', '.join(arms)}; seeds {', '.join(map(str, settings.seeds))}",
        "GPU hours, by arithmetic": round(hours, 1),
        "of these hours": said,
        "GB, by arithmetic": "{memory:.0f} of the GPU in the worst step, {disk:.0f} on disk for models".format(**found),
        "cost": f"{ceil(hours * settings.price):,} US dollars at {settings.price:g} an hour",
    }
