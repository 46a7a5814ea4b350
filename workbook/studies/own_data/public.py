"""Models beside Oryx's: any local image-text-to-text model of transformers, by its own processor and chat template."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from oryx.errors import CheckpointError
from oryx.processing.images import open_image
from oryx.processing.options import PreprocessOptions
from oryx.processing.visuals import Video, choose_frames
from workbook.studies.asking import Asker, Question, Way


@dataclass(frozen=True)
class PublicAsker(Asker):
    """Asks such a model, greedily. A picture has the arm's resolution before the model's processor sees it.

    A video is its frames, as so many pictures. The log-likelihood of the true answer is not noted. Raises
    CheckpointError for a folder that transformers cannot load, or one without a chat template.
    """

    @cached_property
    def processor(self) -> Any:
        found = _loaded(AutoProcessor, self.checkpoint)
        if not getattr(found, "chat_template", None):
            raise CheckpointError(f"{self.checkpoint}: expected a processor with a chat template, got none")
        return found

    @cached_property
    def model(self) -> Any:
        _ = self.processor  # here: a model that cannot be asked is no failed item
        model = _loaded(AutoModelForImageTextToText, self.checkpoint, dtype=self.machine.dtype)
        return self.machine.place(model).eval()

    def _answers(self, questions: Sequence[Question], way: Way, condition: str) -> list[dict]:
        if condition == "no_visual":
            return [self._said(question, []) for question in questions]
        visual, rule = questions[0].visual, way.resolution
        video = visual if isinstance(visual, Video) else Video([open_image(visual)])
        shown = choose_frames(video, PreprocessOptions())
        pictures = [one if rule == "native" else rule.apply(one, 1) for one in shown.pictures]
        sizes = [[one.height, one.width] for one in pictures]
        seen = {"frames": len(pictures), "sizes": sizes, "decoder": shown.file and shown.file.decoder}
        seen |= {"warning": shown.file.warning or None, "sampling": video.sampling} if shown.file else {}
        return [self._said(question, pictures) | seen for question in questions]

    @torch.inference_mode()
    def _said(self, question: Question, pictures: Sequence[Any]) -> Mapping[str, Any]:
        content = [*({"type": "image", "image": one} for one in pictures), {"type": "text", "text": question.text}]
        form = {"add_generation_prompt": True, "tokenize": True, "return_dict": True, "return_tensors": "pt"}
        inputs = self.processor.apply_chat_template([{"role": "user", "content": content}], **form)
        inputs = inputs.to(self.model.device, self.machine.dtype)
        kind = {"max_new_tokens": question.most, "do_sample": False, "repetition_penalty": 1.0, "output_logits": True}
        out = self.model.generate(**inputs, **kind, return_dict_in_generate=True)
        likely = self.model.compute_transition_scores(out.sequences, out.logits, normalize_logits=True).sum().exp()
        new = out.sequences[0, inputs["input_ids"].shape[1] :]
        answer = self.processor.decode(new, skip_special_tokens=True).strip()
        tokens = int((inputs["input_ids"] == getattr(self.model.config, "image_token_id", None)).sum())
        found = {"answer": answer, "score": question.score(answer), "answer_probability": float(likely)}
        return found | {"visual_tokens": tokens}


def _loaded(kind: Any, folder: str, **options: Any) -> Any:
    try:
        return kind.from_pretrained(folder, local_files_only=True, **options)
    except Exception as error:  # of many kinds; few name the folder
        raise CheckpointError(f"{folder}: transformers cannot load it ({type(error).__name__}: {error})") from error
