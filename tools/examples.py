"""Which held-out pictures notebook 00 shows: ``python -m tools.examples`` asks the shipped model about the first ones.

Of text the surest that is read at 1x and neither at 4x nor at 16x, of objects the surest that is known at all three;
where there is none, the surest that is right at 1x. It prints what belongs into ``workbook/explore/examples.py``.
"""

import oryx
from workbook.data.items import OBJECT_TASKS, evaluation_items
from workbook.data.pictures import PictureSizes
from workbook.explore.examples import CHOSEN, SPLIT

FIRST, LARGE = 60, 1.2
"""Items asked about; those smaller than this many times S² are passed over."""


def chosen(model, task: str) -> int:
    """The number of a task's example."""
    wanted, found = [True, *[task in OBJECT_TASKS] * 2], []  # of the answers at 1x, 4x and 16x, which are right
    for number, item in enumerate(evaluation_items(task, SPLIT, FIRST, PictureSizes())):
        if item.area_ratio >= LARGE:
            answers = [model.ask(item.picture, item.question, compression=ratio) for ratio in (1, 4, 16)]
            right = [answer.text == item.answer for answer in answers]
            found.append((right[0], right == wanted, answers[0].probability, number))
    return max(found)[-1]


if __name__ == "__main__":
    model = oryx.load("nano")
    print({task: chosen(model, task) for task in CHOSEN})
