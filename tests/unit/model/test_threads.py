"""Threads share a model: nothing in it changes while it answers."""

from concurrent.futures import ThreadPoolExecutor

import oryx
from workbook.data.items import evaluation_items
from workbook.data.pictures import PictureSizes

THREADS = 7


def test_threads_that_ask_at_once_get_their_own_answers():
    model = oryx.load("nano")
    items = [item for task in ("number", "word", "icon") for item in evaluation_items(task, "dev", 5, PictureSizes())]

    def ask(item):
        answer = model.ask(item.picture, item.question, max_new_tokens=8)
        return answer.text, round(answer.probability, 4), answer.visual_tokens

    expected = [ask(item) for item in items]
    assert len(set(expected)) > THREADS
    with ThreadPoolExecutor(THREADS) as threads:
        assert list(threads.map(ask, items)) == expected
