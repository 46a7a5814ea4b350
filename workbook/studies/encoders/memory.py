"""What an arm of the encoder study holds in memory, by arithmetic on shapes; nothing is loaded or drawn."""

from statistics import mean

import torch

from oryx.grids import token_count
from oryx.model.parts import siglip_config
from oryx.model.siglip import vit_config_from_siglip
from oryx.train.inputs import maps_of
from workbook.data.items import generator
from workbook.runs.jobs import cores, cuda_devices
from workbook.stages.models import build_reader, build_siglip
from workbook.studies.encoders.arms import arm_view
from workbook.studies.encoders.settings import Settings

SIZES = 400
"""Pictures whose sizes are drawn for a mean."""
GB = 1e9
TRAINED = 16
"""Bytes of a trained parameter: itself, its gradient and AdamW's two moments, in float32; of a frozen one a quarter."""


def memory(settings: Settings, arms: list[str]) -> dict[str, str]:
    """Lines of a plan: what features and pictures take, if they are kept, and what weights take."""
    r, sizes = settings.recipe, settings.recipe.phases[-1].sizes
    with torch.device("meta"):
        siglip = siglip_config(settings.siglip) if settings.siglip else build_siglip(r).vision_model.config
        model = build_reader(r, vit_config_from_siglip(siglip, r.position_grid, r.patch))
    tower, width = model.vision_tower.num_parameters(), siglip.hidden_size
    reader = model.num_parameters() - tower
    rng = generator("memory")
    drawn = [sizes.draw(rng) for _ in range(SIZES)]
    tokens = max(mean(token_count(maps_of(size, arm_view(arm, r.side), r.patch)) for size in drawn) for arm in arms)
    features = settings.train_items * tokens * width * 2 / GB
    pictures = settings.train_items * mean(3 * height * width for height, width in drawn) / GB
    held = f"up to {features:.3g} GB of features and {pictures:.3g} GB of pictures"
    if settings.features == "streamed":
        held = f"none held (kept they would be {held}); {settings.batch * tokens * width * 4 / GB:.2g} GB in a step, "
        held += f"{settings.train_steps * settings.batch:,} pictures drawn and encoded"
    at_once = settings.jobs or len(cuda_devices()) or cores()
    return {
        "features of an arm": held,
        "weights of an arm, with its optimizer": f"{(tower / 4 + reader) * TRAINED / GB:.2g} GB",
        "weights of an encoder's training": f"{(tower + reader) * TRAINED / GB:.2g} GB, beside its activations",
        "arms at once": f"{min(at_once, len(arms))} here, each holding as much",
    }
