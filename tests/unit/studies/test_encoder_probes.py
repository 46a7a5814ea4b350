"""Probes: what they measure on features that are known, and that the slow attention is the model's own."""

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

from oryx.grids import cumulative_lengths, token_count
from oryx.model.attention import Segments
from oryx.model.inspect import encoder_attention
from oryx.model.siglip import vit_from_siglip
from oryx.processing.images import to_patches
from oryx.train.inputs import END
from tests.pixels import pack_images, patchify
from workbook.stages.models import build_siglip
from workbook.stages.recipes import CAPTION_LENGTH, recipe
from workbook.stages.shared import caption_ids, square_pixels
from workbook.studies.encoders import jobs
from workbook.studies.encoders import reading as encoder_reading
from workbook.studies.encoders import robustness as encoder_robustness
from workbook.studies.encoders.arms import ENCODERS
from workbook.studies.encoders.features import PENALTIES, feature_maps, fit_ridge, mean_of, pooled
from workbook.studies.encoders.figures import CHANGES, READINGS
from workbook.studies.encoders.reading import caption_embeddings, own_head, patch_reading, patch_rows, ranked
from workbook.studies.encoders.robustness import (
    area_grids,
    aspect_grids,
    attention_distance,
    object_pictures,
    patch_distances,
    robustness,
)
from workbook.studies.encoders.settings import Settings
from workbook.studies.encoders.study import OryxViTvsSigLIP
from workbook.studies.encoders.tables import PROBES

RECIPE = recipe(
    "nano", vision={"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
)


@pytest.fixture(scope="module")
def siglip():
    torch.manual_seed(0)
    return build_siglip(RECIPE).eval()


@pytest.fixture(scope="module")
def tower(siglip):
    return vit_from_siglip(siglip.vision_model, RECIPE.position_grid).eval()


def noise(sizes, seed=0):
    rng = np.random.default_rng(seed)
    return [Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8)) for h, w in sizes]


def test_features_come_back_in_order_and_are_those_of_each_picture_alone(tower):
    pictures = noise([(16, 32), (48, 48), (16, 32), (8, 64)])
    found = list(feature_maps(tower, pictures))
    for picture, features in zip(pictures, found, strict=True):
        patches, grid = to_patches(picture, 8)
        with torch.no_grad():
            alone = tower(patches, [grid]).tokens
        torch.testing.assert_close(features, alone, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(pooled(tower, pictures)[1], found[1].mean(0))


def test_a_mean_has_the_t_interval_and_clusters_widen_it():
    values = np.array([0.0, 1.0, 1.0, 1.0, 0.0, 1.0])
    found = mean_of(values)
    half = 2.5706 * values.std(ddof=1) / math.sqrt(6)
    assert (found["value"], found["n"]) == (pytest.approx(4 / 6), 6)
    assert found["high"] - found["value"] == pytest.approx(half, rel=1e-4)
    doubled = mean_of(np.repeat(values, 2), np.repeat(range(6), 2))
    assert doubled["high"] == pytest.approx(found["high"]), "the same picture twice is no more evidence"


def test_ridge_finds_a_linear_map_and_gives_way_to_noise():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 20, generator=generator)
    weight = torch.randn(20, 3, generator=generator)
    clean = fit_ridge(x, x @ weight + 2)
    assert clean.penalty == PENALTIES[0]
    torch.testing.assert_close(clean(x), (x @ weight + 2).double(), atol=1e-3, rtol=1e-3)
    assert fit_ridge(x, torch.randn(200, 3, generator=generator)).penalty >= 1


def test_the_penalty_has_the_least_error_on_rows_left_out():
    generator = torch.Generator().manual_seed(1)
    x, weight = torch.randn(30, 12, generator=generator).double(), torch.randn(12, 2, generator=generator).double()
    y = x @ weight + 3 * torch.randn(30, 2, generator=generator).double()
    scale = torch.linalg.svdvals(x - x.mean(0)).square().mean()

    def error(penalty: float) -> float:
        total = 0.0
        for i in range(len(x)):
            rest = torch.arange(len(x)) != i
            a, b = x[rest] - x.mean(0), y[rest] - y.mean(0)
            a, b = torch.cat([a, torch.ones(len(a), 1)], 1), b  # the intercept is not penalised
            ridge = torch.diag(torch.tensor([penalty * scale] * 12 + [0.0]).double())
            w = torch.linalg.solve(a.T @ a + ridge, a.T @ b)
            left_out = torch.cat([x[i] - x.mean(0), torch.ones(1)]) @ w
            total += float((left_out - (y[i] - y.mean(0))).square().sum())
        return total

    assert fit_ridge(x, y).penalty == min(PENALTIES, key=error)


def test_ranks_of_captions():
    captions = torch.eye(4)
    found = ranked(captions, captions)
    assert (found["retrieval"]["value"], found["retrieval rank"]["value"]) == (1, 1)
    assert found["retrieval"]["chance"] == 0.25 and found["retrieval"]["low"] < 1
    blind = ranked(torch.ones(4, 4), captions)
    assert (blind["retrieval"]["value"], blind["retrieval rank"]["value"]) == (0, 0.5)
    first_two = ranked(torch.tensor([[3.0, 0, 1, 2], [0, 3, 1, 2], [0, 1, 2, 3], [3, 2, 1, 0]]), captions)
    assert first_two["retrieval"]["value"] == 0.5
    assert first_two["retrieval rank"]["value"] == pytest.approx((1 + 1 + 2 / 3 + 0) / 4)


def test_captions_and_squares_reach_siglip_as_in_its_training(siglip):
    ids = caption_ids([b"ab", b"x" * CAPTION_LENGTH])
    assert ids[0].tolist() == [97, 98] + [END] * (CAPTION_LENGTH - 2) and ids[1].tolist() == [120] * CAPTION_LENGTH
    pictures = noise([(48, 48)] * 3)
    pixels = square_pixels(pictures)
    assert torch.equal(patchify(pixels[1], 8)[0], to_patches(pictures[1], 8)[0])
    with torch.no_grad():
        whole = siglip(input_ids=ids[[0, 1, 0]], pixel_values=pixels)
    embeddings = torch.nn.functional.normalize(own_head(siglip, pictures), dim=-1)
    torch.testing.assert_close(embeddings, whole.image_embeds, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        caption_embeddings(siglip, [b"ab", b"x" * CAPTION_LENGTH]), whole.text_embeds[:2], atol=1e-5, rtol=1e-5
    )


def test_patches_are_read_if_the_answer_is_in_them_and_not_by_a_blind_encoder(tower, monkeypatch):
    drawn, draw = [], encoder_reading.draw_digits

    def oracle(tower, pictures):
        chosen = [next(d for d in drawn if d.picture is p) for p in pictures]
        labels = [torch.from_numpy(d.labels((d.picture.height, d.picture.width), 8).ravel()) for d in chosen]
        return [torch.nn.functional.one_hot(label + 1, 11).float() for label in labels]

    monkeypatch.setattr(encoder_reading, "draw_digits", lambda *args: drawn.append(draw(*args)) or drawn[-1])
    monkeypatch.setattr(encoder_reading, "input_sizes", lambda r: {"native": encoder_reading.Resolution()})
    monkeypatch.setattr(encoder_reading, "feature_maps", oracle)
    (seen,) = patch_reading({"oracle": tower}, RECIPE, "dev", 12)
    assert seen["value"] == 1.0 and seen["chance"] < 0.5
    rows = list(patch_rows(tower, encoder_reading.Resolution(), RECIPE, "dev", 12))
    assert len({row["item"] for row in rows}) == len(rows) <= 12 and {row["score"] for row in rows} == {1.0}
    blind = lambda tower, pictures: [torch.ones(p.height * p.width // 64, 4) for p in pictures]  # noqa: E731
    monkeypatch.setattr(encoder_reading, "feature_maps", blind)
    (unseen,) = patch_reading({"blind": tower}, RECIPE, "dev", 12)
    assert unseen["value"] <= unseen["chance"]


def test_grids_have_the_wanted_areas_and_shapes():
    assert area_grids(6) == [(3, 3), (4, 4), (6, 6), (8, 8), (12, 12)]
    grids = aspect_grids(6)
    assert grids[0] == (6, 6) and len(grids) == len(set(grids))
    shapes = [columns / rows for rows, columns in grids]
    assert shapes == sorted(shapes) and shapes[-1] == 6
    assert all(24 <= rows * columns <= 54 for rows, columns in grids)


def test_pictures_of_the_robustness_probe_show_different_things():
    pictures = object_pictures(RECIPE, "dev", 12)
    assert 6 <= len(pictures) <= 12 and all(p.size == (96, 96) for p in pictures)
    assert len({p.tobytes() for p in pictures}) == len(pictures)
    assert object_pictures(RECIPE, "dev", 12)[3].tobytes() == pictures[3].tobytes()


def test_similarity_is_one_at_the_trained_size_and_for_features_that_do_not_change(tower, monkeypatch):
    records = robustness({"t": tower}, RECIPE, "dev", 12)
    square = [r for r in records if r["grid"] == [6, 6]]
    assert len(square) == 4 and all(r["value"] == pytest.approx(1, abs=1e-5) for r in square)
    other = [r for r in records if r["grid"] != [6, 6] and r["probe"].startswith("similarity")]
    assert all(r["floor"] < r["value"] < 0.999 for r in other)
    # an encoder of nothing but coarse colours: the same at every size, so every picture finds itself
    coarse = lambda p: np.asarray(p.resize((4, 4), Image.Resampling.BOX), dtype=float).ravel()  # noqa: E731
    monkeypatch.setattr(
        encoder_robustness, "pooled", lambda tower, pictures: torch.from_numpy(np.stack([*map(coarse, pictures)]))
    )
    for record in robustness({"t": tower}, RECIPE, "dev", 12):
        assert record["value"] > 0.9


@torch.no_grad()
def test_slow_attention_is_the_models_own(tower):
    generator = torch.Generator().manual_seed(1)
    images = [torch.randn(3, *size, generator=generator) for size in ((16, 32), (24, 24), (8, 8))]
    patches, grids = pack_images(images, 8)
    layers = [list(weights) for weights in encoder_attention(tower, patches, grids)]
    states = tower(patches, grids, output_hidden_states=True).hidden_states
    lengths = [rows * columns for rows, columns in grids]
    segments = Segments(cumulative_lengths(lengths))
    assert len(layers) == 2
    for block, state, weights in zip(tower.blocks, states, layers, strict=False):
        normed = block.norm1(state)
        values = block.attn.qkv(normed).view(len(normed), 3, block.attn.heads, -1)[:, 2].split(lengths)
        mixed = [torch.einsum("hij,jhd->ihd", w, v).flatten(1) for w, v in zip(weights, values, strict=True)]
        ours, theirs = block.attn.proj(torch.cat(mixed)), block.attn(normed, segments, "auto")
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
        assert all(torch.allclose(w.sum(-1), torch.ones(w.shape[:2]), atol=1e-5) for w in weights)


def test_distances_of_patches():
    assert patch_distances((1, 3)).tolist() == [[0, 1, 2], [1, 0, 1], [2, 1, 0]]
    assert patch_distances((2, 2))[0, 3] == pytest.approx(2**0.5)
    assert patch_distances((3, 5)).shape == (15, 15)


def test_attention_distance_of_uniform_and_of_looking_at_oneself(tower, monkeypatch):
    def weights(kind):
        def made(tower, patches, grids):
            n = token_count(grids[:1])
            one = torch.eye(n) if kind == "self" else torch.full((n, n), 1 / n)
            return [[one.expand(2, n, n)] * len(grids)] * 2

        return made

    for kind in ("self", "uniform"):
        monkeypatch.setattr(encoder_robustness, "encoder_attention", weights(kind))
        for record in attention_distance({"t": tower}, RECIPE, "dev", 6):
            assert record["value"] == pytest.approx(0 if kind == "self" else record["uniform"], abs=1e-4)


def test_all_probes_in_json_and_the_same_for_the_same_tower(siglip, tower, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "load_tower", lambda *_: tower)
    monkeypatch.setattr(jobs, "load_siglip", lambda *_: siglip)
    monkeypatch.setattr(Settings, "recipe", property(lambda _: RECIPE))
    settings, seen = OryxViTvsSigLIP().settings(look_items=12, split="dev"), []
    jobs.probe(settings, 3, tmp_path / "probes", lambda *done: seen.append(done))
    records = json.loads((tmp_path / "probes" / "probes.json").read_text())
    assert {r["probe"] for r in records} == {*READINGS, *CHANGES, *PROBES}
    assert seen == [("probe", i, 4) for i in range(1, 5)]
    for record in records:
        assert (record["seed"], record["split"]) == (3, "dev")
        assert record["low"] <= record["value"] + 1e-9 <= record["high"] + 2e-9
    linear = [r for r in records if r.get("reader") != "own head"]
    bare = [[{**r, "encoder": ""} for r in linear if r["encoder"] == name] for name in ENCODERS]
    assert bare[0] == bare[1] == bare[2] and len(bare[0]) > 40
    assert {r["encoder"] for r in records if r.get("reader") == "own head"} == {"siglip"}
