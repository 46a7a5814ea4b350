"""The input size that SigLIP 2's NaFlex chooses for a token budget, by transformers' own code.

NaFlex (SigLIP 2, arXiv 2502.14786) *fills* a budget: a picture is enlarged or reduced, shape kept, until one more step
would cost more than ``budget`` patches. Oryx's native size is only *capped*: a small picture stays small. That is a
difference of function, not of padding; from an area of fixed size (``oryx.processing.resolution``, kind ``area``) it
differs only in how it rounds: NaFlex rounds both sides up and never exceeds the budget, so it costs a few percent less
(``tests/unit/processing/test_naflex.py`` counts them).
"""

from oryx.errors import SettingsError
from oryx.grids import Size, check_size


def naflex_size(size: Size, patch: int, budget: int) -> Size:
    """The (height, width) in pixels, multiples of ``patch``, that NaFlex gives a picture of ``size``.

    At most ``budget`` patches; transformers enlarges at most 100 times, so a tiny picture may stay below it.

    Raises:
        InputError: a size without pixels.
        SettingsError: a patch or budget below 1.
    """
    if patch < 1 or budget < 1:
        raise SettingsError(f"NaFlex: expected a patch and a budget of at least 1, got {patch} and {budget}")
    # the Pillow version of the module: its twin of the same function imports torchvision
    from transformers.models.siglip2.image_processing_pil_siglip2 import get_image_size_for_max_num_patches

    height, width = check_size(size)
    return get_image_size_for_max_num_patches(height, width, patch, budget)
