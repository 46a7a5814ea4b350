"""Two probes that read an encoder linearly: a picture's caption from its pooled features, a digit from single patches.

Every encoder gets the same kind of map, a ridge regression fitted on the training split, because only SigLIP has a head
of its own; a nonlinear one would measure itself. Both probes are made at SigLIP's fixed square and at native size.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import SiglipModel

from oryx.model.vit import OryxViT
from oryx.processing.sizes import Resolution
from workbook.data.items import draw_item, generator
from workbook.data.pictures import PictureSizes
from workbook.data.text_tasks import NO_DIGIT, DigitMap, draw_digits
from workbook.stages.recipes import CAPTION_LENGTH, Recipe
from workbook.stages.shared import caption_ids, square_pixels
from workbook.studies.encoders.features import ENCODE_BATCH, feature_maps, fit_ridge, mean_of, pooled, share_of

PAIRS = {"number": 0.24, "word": 0.36, "icon-title": 0.25, "clipart-title": 0.15}
"""What the maps to captions are fitted on: the mixture of the later part of SigLIP's own training."""

FAMILIES = {
    "words": ("word",),
    "numbers": ("number",),
    "icons": ("icon-restyled",),
    "new concepts": ("icon-title", "clipart-title"),
}
"""Family of held-out captions -> tasks. Words and icons: known captions in new fonts and a new drawing style; numbers:
mostly new, in new fonts; new concepts: titles that no part of training saw."""

DIGITS = 10


def input_sizes(r: Recipe) -> dict[str, Resolution]:
    """``fixed``: SigLIP's square, the shape lost; ``native``: the picture's own size."""
    return {"fixed": Resolution("squash", r.side), "native": Resolution()}


def _draw(rng, tasks: Sequence[str], weights, split: str, count: int, sizes: PictureSizes):
    """``count`` times a caption, as the text tower sees it, and a picture of it."""
    items = (draw_item(rng, tasks[i], split, sizes, "pair") for i in rng.choice(len(tasks), count, p=weights))
    return [(item.answer.encode()[:CAPTION_LENGTH], item.picture) for item in items]


@torch.inference_mode()
def caption_embeddings(siglip: SiglipModel, captions: Sequence[bytes]) -> Tensor:
    """(n, C), of unit length, by SigLIP's text tower."""
    found = siglip.get_text_features(input_ids=caption_ids(captions).to(siglip.device)).pooler_output
    return torch.nn.functional.normalize(found.float().cpu(), dim=-1)


@torch.inference_mode()
def own_head(siglip: SiglipModel, pictures: Sequence[Image.Image]) -> Tensor:
    """(n, C), SigLIP's own embeddings of square pictures of its size."""
    parts = square_pixels(pictures).to(siglip.device).split(ENCODE_BATCH)
    return torch.cat([siglip.get_image_features(pixel_values=part).pooler_output.float().cpu() for part in parts])


def ranked(pictures: Tensor, captions: Tensor) -> dict[str, dict]:
    """How each picture's own caption (same row) ranks among all by inner product: two probes.

    ``retrieval``: the share ranked first, with Wilson's interval; ``retrieval rank``: the mean share of the other
    captions that rank behind (ties half), which tells encoders apart where hardly any caption comes first.
    """
    fit, count = pictures.double() @ captions.double().T, len(captions)
    own = fit.diagonal()[:, None]
    behind, tied = (fit < own).sum(1), (fit == own).sum(1) - 1
    return {
        "retrieval": share_of(int((behind == count - 1).sum()), count),
        "retrieval rank": {**mean_of(((behind + tied / 2) / (count - 1)).numpy()), "chance": 0.5},
    }


def retrieval(siglip: SiglipModel, towers: Mapping[str, OryxViT], r: Recipe, split: str, items: int) -> list[dict]:
    """Caption by image among the different captions of ``items`` draws of a family; a finite family gives fewer.

    Records of two probes (:func:`ranked`): ``x`` the family, ``input`` fixed or native, ``reader`` "linear" or (SigLIP
    only, fixed) "own head".
    """
    sizes, records = r.phases[0].sizes, []
    pairs = _draw(generator("look pairs", "train"), tuple(PAIRS), tuple(PAIRS.values()), "train", 8 * items, sizes)
    wanted = caption_embeddings(siglip, [caption for caption, _ in pairs])
    tests = {
        f: dict(_draw(generator("look", split, f), tasks, None, split, items, sizes)) for f, tasks in FAMILIES.items()
    }
    captions = {family: caption_embeddings(siglip, list(found)) for family, found in tests.items()}
    for size, resolution in input_sizes(r).items():
        train = [resolution.apply(picture, r.patch) for _, picture in pairs]
        shown = {f: [resolution.apply(p, r.patch) for p in found.values()] for f, found in tests.items()}
        readers = [("siglip", "own head", partial(own_head, siglip))] if size == "fixed" else []
        for name, tower in towers.items():
            read = fit_ridge(pooled(tower, train), wanted)
            readers.append((name, "linear", lambda pictures, tower=tower, read=read: read(pooled(tower, pictures))))
        for name, reader, embed in readers:
            for family, pictures in shown.items():
                described = {"encoder": name, "reader": reader, "input": size, "x": family}
                for kind, found in ranked(embed(pictures), captions[family]).items():
                    records.append({"probe": kind, **described, **found})
    return records


def _patches(tower: OryxViT, maps: Sequence[DigitMap], resolution: Resolution) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """Features of all patches that show a digit, (n, C), which digit, and of which picture."""
    patch = tower.config.patch_size
    pictures = [resolution.apply(drawn.picture, patch) for drawn in maps]
    labels = [d.labels((p.height, p.width), patch).ravel() for d, p in zip(maps, pictures, strict=True)]
    shown = [one != NO_DIGIT for one in labels]
    found = zip(feature_maps(tower, pictures), shown, strict=True)
    features = torch.cat([one[torch.from_numpy(where)] for one, where in found])
    label = np.concatenate([one[where] for one, where in zip(labels, shown, strict=True)])
    return features, label, np.repeat(np.arange(len(maps)), [where.sum() for where in shown])


def patch_rows(tower: OryxViT, resolution: Resolution, r: Recipe, split: str, items: int) -> Iterator[dict]:
    """What a row says of each picture that shows a digit, its score the share of right patches; :func:`patch_reading`.

    ``chance`` is the share of the most frequent digit.
    """
    right, label, picture = _read_patches(tower, resolution, _digit_maps(r, split, items), split)
    shared = {"task": "patch", "split": split, "question": "which digit does a patch show?"}
    shared |= {"truth": "", "answer": "", "error": None, "visual_tokens": 0, "frames": 1}
    shared |= {"chance": float(np.bincount(label).max() / len(label))}
    for number in np.unique(picture):
        name, score = f"{split}/patch/{number}", float(right[picture == number].mean())
        yield {**shared, "item": name, "cluster": name, "score": score}


def _digit_maps(r: Recipe, split: str, items: int) -> dict[str, list[DigitMap]]:
    """Pictures of ``split``, and four times as many to fit on."""
    sizes = PictureSizes(side=r.side, patch=r.patch, max_tokens=4 * (r.side // r.patch) ** 2)
    counts = {"train": 4 * items, split: items}
    return {
        part: [draw_digits(generator("digit map", part, i), sizes, part) for i in range(n)]
        for part, n in counts.items()
    }


def _read_patches(
    tower: OryxViT, resolution: Resolution, drawn: Mapping[str, Sequence[DigitMap]], split: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every patch that shows a digit: whether it is read rightly, which digit it is, and of which picture."""
    x, label, _ = _patches(tower, drawn["train"], resolution)
    read = fit_ridge(x, torch.nn.functional.one_hot(torch.from_numpy(label), DIGITS))
    x, label, picture = _patches(tower, drawn[split], resolution)
    return read(x).argmax(1).numpy() == label, label, picture


def patch_reading(towers: Mapping[str, OryxViT], r: Recipe, split: str, items: int) -> list[dict]:
    """Which digit a patch shows, from its feature alone: share of right patches in ``items`` held-out pictures.

    A patch shows at most a part of a digit, so this asks what attention has brought there. Pictures as the study's
    (areas S²/4 to 4 S²); squeezed into the fixed square, large ones have smaller digits and fewer patches that show
    one. Records: ``x`` fixed or native, ``chance`` the most frequent digit's share, interval clustered by picture.
    """
    drawn, records = _digit_maps(r, split, items), []
    for size, resolution in input_sizes(r).items():
        for name, tower in towers.items():
            right, label, picture = _read_patches(tower, resolution, drawn, split)
            chance = float(np.bincount(label).max() / len(label))
            records.append({"encoder": name, "x": size, **mean_of(right, picture), "chance": chance})
    return [{"probe": "patch reading", **record} for record in records]
