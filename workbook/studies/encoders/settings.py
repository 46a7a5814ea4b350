"""Settings of study 2. No torch."""

from typing import ClassVar, Literal

from workbook.runs.settings import setting
from workbook.stages.recipes import Recipe, encoder_recipe
from workbook.studies.encoders.arms import ARMS, USUAL
from workbook.studies.pictures import PictureSettings
from workbook.studies.public.settings import SMALL, PublicSettings, public_presets

PART_SCALES = (SMALL, "paper")
"""Where the encoders are public ones and what comes of them, and the pictures public benchmarks."""


class Settings(PictureSettings, PublicSettings):
    """What a run of this study depends on."""

    hashed_as: ClassVar[str] = "oryx.studies.oryxvit_vs_siglip"

    arms: tuple[Literal[tuple(ARMS)], ...] = setting(USUAL, "arms to train and evaluate")
    side: int = setting(48, "S in pixels, side of SigLIP's square; areas of pictures are S²/4 to 2.25 S²", least=16)
    patch: int = setting(8, "side of a patch in pixels", least=1)
    train_items: int = setting(6000, "training pictures of a seed", least=1)
    train_steps: int = setting(1000, "training steps of every arm's language model", least=1)
    batch: int = setting(16, "pictures in a step", least=1)
    learning_rate: float = setting(1e-3, "peak learning rate")
    text_items: int = setting(250, "evaluation items of each text task", least=1)
    object_items: int = setting(150, "evaluation items of each object task", least=1)
    look_items: int = setting(200, "pictures of each probe of the encoders", least=8)
    siglip: str = setting("", "public SigLIP or SigLIP 2 weights to start from: a folder or a repository name")
    patch_items: int = setting(400, "held-out pictures whose patches are read linearly, in rows", least=0)
    panel: Literal["reading"] = setting("reading", "tasks: those that encoders of this size learn; the only choice")

    presets = public_presets(__file__, PART_SCALES)

    @property
    def recipe(self) -> Recipe:
        """The recipe of the encoders: the scale's, with the run's square and patch."""
        return encoder_recipe(self.scale, self.side, self.patch)

    def trains_encoders(self, seed: int) -> bool:
        """Whether a seed trains its encoders itself; those of seed 0 ship with the package."""
        return self.from_scratch or self.scale != "nano" or seed != 0
