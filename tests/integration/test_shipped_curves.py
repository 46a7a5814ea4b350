"""Shipped parts begin as these trainings begin: the first points of their curves are computed again."""

import pytest

from oryx.files import read_json
from oryx.train import stages
from workbook.stages import encoders, shared
from workbook.stages.recipes import encoder_recipe, recipe
from workbook.stages.shipped import WEIGHTS
from workbook.stages.stage import Options

pytestmark = pytest.mark.integration
NANO = WEIGHTS / "nano"


class Reached(Exception):
    """The first point of a curve."""


def siglip(options):
    shared.train_siglip(recipe("nano"), options)


def control(options):
    encoders.train_encoder("control", encoder_recipe("nano"), options)


@pytest.mark.parametrize(("training", "shipped"), [(siglip, "curves.json"), (control, "encoders.json")])
def test_the_first_point_of_a_shipped_curve(training, shipped, monkeypatch, tmp_path):
    def train(*given):
        def stop(point):
            raise Reached(point)

        *same, _ = given
        return stages_train(*same, stop)

    stages_train = stages.train
    monkeypatch.setattr(stages, "train", train)
    with pytest.raises(Reached) as reached:
        training(Options("nano", 0, tmp_path, NANO))
    (point,), found = reached.value.args, read_json(NANO / shipped)
    expected = found.get("curves", found)[training.__name__][0]
    assert {name: point[name] for name in expected} == pytest.approx(expected, rel=1e-3)
