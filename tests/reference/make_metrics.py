#!/usr/bin/env python3
"""Makes metrics.npz: metrics of whole evaluations by their definitions in NumPy.

    python3 tests/reference/make_metrics.py        needs numpy

For each data set of n rows: logits z [n, 4] and labels y of `confusion`, scores s [n, width] and targets t in
{0, 1}, predictions p and values v [n, width], then the metrics by name. Numbers are multiples of 1/256,
so that auc's bins tell all scores apart and its ties are exact.
"""

import os

import numpy as np

here = os.path.dirname(os.path.abspath(__file__))


def ratio(a, b):
    return a / b if b else 0.0


def auc(s, t):
    yes, no = s[t == 1], s[t == 0]
    above = (yes[:, None] > no).sum() + 0.5 * (yes[:, None] == no).sum()
    return ratio(above, len(yes) * len(no))


def data_set(n, width, seed, share=0.4):
    rng = np.random.default_rng(seed)
    drawn = lambda *shape: np.round(rng.uniform(-2, 2, shape) * 256) / 256
    z, y = drawn(n, 4), rng.integers(0, 4, n)
    s, t = np.round(drawn(n, width) * 16) / 16, (rng.uniform(size=(n, width)) < share).astype(float)
    v = drawn(n, width)
    p = v + 0.3 * drawn(n, width)
    out = {"z": z, "y": y.astype(float), "s": s, "t": t, "p": p, "v": v}
    hits, said, true = ((s > 0) & (t == 1)).sum(), (s > 0).sum(), (t == 1).sum()
    precision, recall = ratio(hits, said), ratio(hits, true)
    confusion = np.zeros((4, 4))
    np.add.at(confusion, (y, z.argmax(-1)), 1)
    return out | {
        "precision": precision,
        "recall": recall,
        "f1": ratio(2 * precision * recall, precision + recall),
        "auc": auc(s.ravel(), t.ravel()),
        "r2": 1 - ((v - p) ** 2).sum() / ((v - v.mean()) ** 2).sum(),
        "confusion": confusion,
    }


sets = {
    "many": data_set(37, 1, 1),
    "wide": data_set(10, 3, 2),
    "one": data_set(1, 5, 3),
    "single": data_set(2, 1, 4, share=1.0),
    "none": data_set(8, 2, 5, share=0.0),
}
arrays = {f"{s}_{k}": np.asarray(v, float) for s, d in sets.items() for k, v in d.items()}
np.savez_compressed(os.path.join(here, "metrics.npz"), **arrays)
