"""The jobs of the needle study: its shared files and reader, and one arm trained and asked.

See :mod:`workbook.studies.needle.study`, which says what is compared.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

from oryx.files import atomic_write_json
from oryx.grids import Grid, video_token_count
from oryx.model.positions import set_positions
from oryx.train.device import compute
from oryx.train.loop import TrainPlan
from workbook.data.needles import FrameDataset, make_dataset
from workbook.stages.recipes import VideoRecipe, video_recipe
from workbook.stages.shipped import WEIGHTS
from workbook.stages.stage import Options
from workbook.stages.video_reader import load_video_reader, train_video_reader
from workbook.stages.videos import RetrievalPlan, steps_for_tokens, tokens_trained_on, train_retrieval
from workbook.studies.base import Progress
from workbook.studies.frames import frame_cache, write_in_parallel
from workbook.studies.needle.arms import ARMS
from workbook.studies.needle.evaluation import Evaluation
from workbook.studies.needle.settings import Settings
from workbook.studies.needle.videos import NearestFrame, NeedleCodes, TrialVideos, haystacks_of, twice


def prepare(settings: Settings, seed: int) -> None:
    """Write the haystacks and the dataset of training frames."""
    recipe = video_recipe(settings.recipe_scale)
    haystacks = haystacks_of(settings, recipe.size).drawings()
    write_in_parallel([partial(_dataset, settings, recipe, seed), *haystacks])


def train_reader(settings: Settings, seed: int, folder: Path, progress: Progress) -> None:
    """Train the reader of frames that all arms start from; its frames must lie in the cache.

    It starts from the shipped SigLIP, unless everything is to be trained from scratch.
    """
    recipe = video_recipe(settings.recipe_scale)
    start = None if settings.from_scratch else WEIGHTS / "nano"
    options = Options(recipe.scale, seed, folder, start, compute(settings.precision), partial(progress, "train"))
    train_video_reader(recipe, options, _dataset(settings, recipe, seed))


def run_arm(
    settings: Settings, arm: str, seed: int, folder: Path, shared: Path, base: dict, progress: Progress
) -> None:
    """Train one arm from the reader in ``shared`` and ask it; an interrupted run resumes from ``folder``."""
    recipe, spec, machine = video_recipe(settings.recipe_scale), ARMS[arm], compute(settings.precision)
    model = machine.place(load_video_reader(recipe, shared))
    set_positions(model, spec.positions)
    frames = _dataset(settings, recipe, seed)
    of = (settings.cache_folder, model, spec.side, recipe.size, base["weights_hash"], machine)
    features = frame_cache(*of, **settings.decoding)
    tokens = features.joined(frames.files)
    codes = NeedleCodes(tokens) if spec.oracle else None
    curve, longest = [], recipe.longest
    if spec.data != "none":
        plan = retrieval_plan(settings, arm, seed, tokens.grid)
        shown, longest = codes.into_dataset(frames, tokens) if codes else tokens, plan.longest
        options = Options(settings.scale, seed, folder, None, machine, partial(progress, "train"))
        curve = train_retrieval(model, frames, shown, plan, options)
    atomic_write_json(folder / "curve.json", curve, indent=None)
    view = {"view": NearestFrame(frames, tokens)} if spec.nearest else {"view": twice} if spec.twice else {}
    videos = TrialVideos(haystacks_of(settings, recipe.size), features, codes, **view)
    Evaluation(settings, model, videos, base, tokens.grid, longest).ask(folder, machine, progress)


def retrieval_plan(settings: Settings, arm: str, seed: int, grid: Grid) -> RetrievalPlan:
    """The training of an arm on frames of ``grid``; see :class:`workbook.studies.needle.arms.Arm`."""
    a_frame = video_token_count(2, grid) - video_token_count(1, grid)
    longest = (ARMS[arm].longest or settings.longest) * TOKENS_AT_16X // a_frame
    steps = settings.oracle_steps if ARMS[arm].oracle else settings.train_steps
    schedule = TrainPlan(steps, settings.learning_rate, warmup=50)
    plan = RetrievalPlan(max(2, longest), settings.train_tokens, settings.most_clips, schedule, ARMS[arm].twice)
    if ARMS[arm].data == "retrieval":
        return plan
    short = replace(plan, longest=min(SHORT, longest))
    if ARMS[arm].data == "short_steps":
        return short
    steps = steps_for_tokens(short, seed, grid, tokens_trained_on(plan, seed, grid))
    return replace(short, plan=replace(schedule, steps=steps))


TOKENS_AT_16X = 3
"""Video tokens of a frame at 16x: itself, its newline, its separator. At 4x clips have as many tokens."""

SHORT = 16
"""Frames in the longest clip of the arms without retrieval data."""


def _dataset(settings: Settings, recipe: VideoRecipe, seed: int) -> FrameDataset:
    shown = {"size": recipe.size, **recipe.dataset, "letters": recipe.letters}
    return make_dataset(settings.cache_folder / "dataset", seed, **shown)
