"""The jobs of the connector study: its shared files, features and start, and one arm trained and asked.

See :mod:`workbook.studies.compressor.study`, which says what is compared.
"""

from functools import partial
from pathlib import Path

import torch

from oryx.evidence.store import RowWriter
from oryx.files import atomic_write_json
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.train.checkpoints import load_weights, save_weights
from oryx.train.device import compute
from workbook.stages.models import load_shared
from workbook.stages.shared import run as train_shared
from workbook.stages.shipped import weights_hash
from workbook.stages.stage import Options
from workbook.stages.videos import StoryPlan, train_stories, with_connector
from workbook.studies.base import Progress
from workbook.studies.compressor.arms import ARMS, FRAMES, region_side
from workbook.studies.compressor.cells import picture_side, ratios_of, sources_of
from workbook.studies.compressor.evaluation import Evaluation
from workbook.studies.compressor.features import Features, dataset_of, write_files
from workbook.studies.compressor.probes import probes
from workbook.studies.compressor.settings import Settings
from workbook.studies.frames import evaluate_arm

START, TOWER = "start.safetensors", ("oryxvit",)


def prepare(settings: Settings, seed: int, folder: Path, encoder: Path, progress: Progress) -> None:
    """Write and encode all videos, then train the start that every arm of this seed shares: video, uncompressed.

    ``encoder``: folder of OryxViT and reader; from scratch (and at smoke) they are trained there first.
    """
    machine = compute(settings.precision)
    if settings.trains_shared and not (encoder / "manifest.json").is_file():
        scale, shown = settings.recipe_scale, partial(progress, "train")
        train_shared(Options(scale, seed, encoder, compute=machine, progress=shown))
    write_files(settings, seed)
    model = machine.place(load_shared(settings.recipe_scale, encoder))
    features = Features(settings, model, weights_hash(encoder, TOWER), machine, blind=False)
    features.prepare(seed, lambda done, total: progress("encode", done, total))
    side, dataset = picture_side(settings), dataset_of(settings, seed)
    plan = StoryPlan(settings.start_steps, (1,), settings.tokens, settings.learning_rate)
    with_connector(model, "average_x2", seed)
    options = Options(settings.scale, seed, folder, None, machine, partial(progress, "train"))
    curve = train_stories(model, dataset, features.dataset(dataset, [side]), {1: [side]}, plan, options, "start")
    atomic_write_json(folder / "start_curve.json", curve, indent=None)
    # float32: arms go on from exactly what was trained here
    save_weights(folder / START, model, torch.float32)


def run_arm(
    settings: Settings, arm: str, seed: int, folder: Path, shared: Path, encoder: Path, base: dict, progress: Progress
) -> None:
    """Train one arm from the start in ``shared`` and ask it; an interrupted run resumes from ``folder``."""
    spec, machine = ARMS[arm], compute(settings.precision)
    model = machine.place(load_shared(settings.recipe_scale, encoder))
    features = Features(settings, model, weights_hash(encoder, TOWER), machine, spec.blind)
    with_connector(model, "average_x2", seed)
    load_weights(shared / START, model)
    with_connector(model, spec.connector, seed, spec.factor)
    dataset, sources, frames = dataset_of(settings, seed), sources_of(settings, arm), FRAMES if spec.varied else ()
    steps = round(spec.share * settings.train_steps)
    plan = StoryPlan(steps, tuple(sources), settings.tokens, settings.learning_rate, frames=frames)
    evaluation = Evaluation(settings, arm, model.eval(), features, base)
    with RowWriter(folder / "rows.jsonl") as writer:
        evaluate_arm(evaluation.shift_batches("start"), writer, machine, progress)
        shown = features.dataset(dataset, sorted({side for sides in sources.values() for side in sides}))
        options = Options(settings.scale, seed, folder, None, machine, partial(progress, "train"))
        curve = train_stories(model, dataset, shown, sources, plan, options, compresses=not spec.smaller)
        atomic_write_json(folder / "curve.json", curve, indent=None)
        evaluate_arm([*evaluation.shift_batches("trained"), *evaluation.batches()], writer, machine, progress)
    with machine.autocast():
        found = probes(settings, arm, model, features)
    start = "random" if spec.cold else "average" if "dwconv" in arm else "no weights, or as the paper's"
    facts = {"arm": arm, "connector": spec.connector, "downsampler starts from": start}
    facts |= {"projector scaled by": 2 / spec.factor, "parameters": connector_parameters(settings, arm, model)}
    atomic_write_json(folder / "probes.json", {"connectors": [facts], **found}, indent=None)


def connector_parameters(settings: Settings, arm: str, model: OryxForConditionalGeneration) -> int:
    """Parameters of the connector that take part at the ratios of an arm."""
    unused = {2, 3, 4, 5} - {region_side(ratio) for ratio in ratios_of(settings, arm)}
    named = model.compressor.named_parameters()
    return sum(p.numel() for name, p in named if not any(part == str(k) for part in name.split(".") for k in unused))
