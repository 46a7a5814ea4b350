"""Threads share a model: nothing in it changes while it answers."""

import io
import json
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.request import Request, urlopen

import torch

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


@torch.no_grad()
def test_threads_that_generate_at_once_get_their_own_tokens():
    model = oryx.load("nano")
    items = evaluation_items("number", "dev", 14, PictureSizes())
    pairs = [items[i : i + 2] for i in range(13)]

    def generate(pair):
        inputs = model.processor([item.question for item in pair], images=[item.picture for item in pair])
        return model.generate(**inputs, max_new_tokens=4, do_sample=False).tolist()

    expected = [generate(pair) for pair in pairs]
    with ThreadPoolExecutor(THREADS) as threads:
        assert list(threads.map(generate, pairs)) == expected


def test_a_small_server_answers_many_at_once_as_one_after_the_other():
    model = oryx.load("nano")
    items = evaluation_items("number", "dev", 14, PictureSizes())

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self):
            picture, question = self.rfile.read(int(self.headers["Content-Length"])), self.headers["Question"]
            answer = model.ask(picture, question, max_new_tokens=8)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps([answer.text, round(answer.probability, 4)]).encode())

        def log_message(self, *_):
            pass

    def ask(item):
        item.picture.save(data := io.BytesIO(), "png")
        return json.load(urlopen(Request(address, data.getvalue(), {"Question": item.question})))

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        Thread(target=server.serve_forever).start()
        try:
            expected = list(map(ask, items))
            with ThreadPoolExecutor(THREADS) as threads:
                assert list(threads.map(ask, items)) == expected
        finally:
            server.shutdown()
