"""The other side of a score: pycocotools, from two files to twelve figures.

Started as `python -c THIS TRUTH PREDICTIONS`. Writes one line of JSON: `{"pycocotools": version, "ms": milliseconds of the
evaluation alone, "figures": [12 numbers]}`, or `{"error": text}`.
"""

import importlib.metadata
import json
import os
import sys
import time

# What libraries print must not mix with the answer.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def answer(value):
    print(json.dumps(value), file=answers, flush=True)


try:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval
except ImportError as why:
    answer({"error": f"has no pycocotools: {why}"})
    sys.exit()

truth = COCO(sys.argv[1])
predictions = truth.loadRes(sys.argv[2])
start = time.perf_counter()
evaluation = COCOeval(truth, predictions, "bbox")
evaluation.evaluate()
evaluation.accumulate()
evaluation.summarize()
took = time.perf_counter() - start
version = importlib.metadata.version("pycocotools")
answer({"pycocotools": version, "ms": took * 1e3, "figures": [float(value) for value in evaluation.stats]})
