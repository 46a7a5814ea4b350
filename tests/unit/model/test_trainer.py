"""transformers' own Trainer trains and evaluates the model, metrics computed from its logits."""

import numpy as np
import pytest
import torch
from transformers import Trainer, TrainingArguments

from oryx.layout import Layout

from .builders import MARK, pictures, tiny_model, visual_inputs

PROMPT, ANSWER = [MARK, 5, 6], [7, 8, 9]


class Pictures(torch.utils.data.Dataset):
    """Pictures of several sizes; the answer is the same for all, so that it can be learned in a few steps."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> dict:
        return {"picture": pictures([[(16, 24), (8, 8), (24, 16)][index % 3]], seed=index)[0]}


class Collator:
    """A batch of such pictures; ``loss_only`` goes to the model as it is."""

    def __init__(self, loss_only: bool):
        self.loss_only = loss_only

    def __call__(self, samples: list[dict]) -> dict:
        ids = torch.tensor([PROMPT + ANSWER] * len(samples))
        labels = ids.masked_fill(torch.arange(6) < len(PROMPT), -100)
        visual = visual_inputs([(Layout.ONE_VIEW, [one["picture"]], 1) for one in samples])
        batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels, **visual}
        return batch | ({"loss_only": True} if self.loss_only else {})


def share_right(prediction) -> dict:
    """Of the answers' tokens; the text stands at the end of every sequence."""
    guesses = prediction.predictions[:, -len(ANSWER) - 1 : -1].argmax(-1)
    return {"right": float((guesses == np.array(ANSWER)).mean())}


@pytest.mark.parametrize("loss_only", [False, True])
def test_it_learns_and_is_measured(tmp_path, loss_only):
    model = tiny_model(tokenizer_padding_side="left")
    arguments = TrainingArguments(
        tmp_path, max_steps=12, per_device_train_batch_size=3, learning_rate=1e-2, report_to=[], use_cpu=True,
        save_strategy="no", logging_strategy="no", remove_unused_columns=False, disable_tqdm=True,
    )  # fmt: skip
    trainer = Trainer(model, arguments, Collator(False), Pictures(), Pictures(), compute_metrics=share_right)
    before = trainer.evaluate()
    trainer.data_collator = Collator(loss_only)
    trainer.train()
    trainer.data_collator = Collator(False)
    after = trainer.evaluate()
    assert after["eval_loss"] < before["eval_loss"] / 2
    assert before["eval_right"] < 0.7 < after["eval_right"] == 1
