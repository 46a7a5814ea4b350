"""How a question is put to a model: the bytes of the small models, or the chat of the released ones."""

from collections.abc import Sequence
from typing import Protocol

from oryx.layout import VISUAL_TOKEN_ID
from oryx.processing import chat
from oryx.processing.processor import OryxProcessor
from oryx.train.text import END, decode, encode_prompt


class PromptFormat(Protocol):
    """Token ids around a video, and the text of an answer."""

    stops: list[int]
    """Tokens that end an answer."""

    def before(self) -> list[int]:
        """Up to the video, its mark included; the same for every question."""

    def after(self, question: str, visual: bool = True) -> list[int]:
        """From the video to where the answer begins; without a visual the whole prompt."""

    def answer(self, truth: str) -> list[int]:
        """An answer with its end."""

    def text(self, ids: Sequence[int]) -> str:
        """The answer in words, its end left out."""

    def right(self, answer: str, truth: str) -> bool:
        """Whether an answer counts."""


class BytePrompt:
    """The visual, the question, a newline, the answer; a byte a token. Right is exactly the truth."""

    def __init__(self):
        self.stops = [END]

    def before(self) -> list[int]:
        return [VISUAL_TOKEN_ID]

    def after(self, question: str, visual: bool = True) -> list[int]:
        return encode_prompt(question, visual=False)

    def answer(self, truth: str) -> list[int]:
        return [*truth.encode(), END]

    def text(self, ids: Sequence[int]) -> str:
        return decode(ids)

    def right(self, answer: str, truth: str) -> bool:
        return answer == truth


class ChatPrompt:
    """The prompt form of a released model. Case, blanks around and a full stop at the end of an answer do not count."""

    def __init__(self, processor: OryxProcessor):
        self.processor = processor
        self.stops = chat.stop_ids(processor.tokenizer, processor.prompt)

    def before(self) -> list[int]:
        ids = self.processor.prompt_ids("?", visuals=1)
        return ids[: ids.index(VISUAL_TOKEN_ID) + 1]

    def after(self, question: str, visual: bool = True) -> list[int]:
        ids = self.processor.prompt_ids(question, visuals=int(visual))
        return ids[ids.index(VISUAL_TOKEN_ID) + 1 :] if visual else ids

    def answer(self, truth: str) -> list[int]:
        return [*self.processor.tokenizer(truth, add_special_tokens=False)["input_ids"], self.stops[0]]

    def text(self, ids: Sequence[int]) -> str:
        kept = []
        for token in ids:
            if token in self.stops:
                break
            kept.append(token)
        return self.processor.tokenizer.decode(kept, skip_special_tokens=True).strip()

    def right(self, answer: str, truth: str) -> bool:
        return answer.strip().rstrip(".").casefold() == truth.casefold()
