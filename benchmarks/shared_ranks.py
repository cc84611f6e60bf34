"""How far inherited accuracy ranks networks: SPOS and FairNAS on NAS-Bench-201's cells over Fashion-MNIST.

    python -m benchmarks shared_ranks [-- --shared spos:60,fairnas:12 --seeds 3]             # about an hour, two cores

Fashion-MNIST at 14x14, 5,000 training and 2,500 validation images; cells of NAS-Bench-201 with 8 channels and three
cells a stage. The truth of each of the architectures (drawn uniformly among the cells with a path) is the mean accuracy
of two trainings by themselves (of one, behind the first `--twice`), whose own rank correlation is the ceiling. A
supernet of every method, number of epochs and seed scores all of them, with batch norms calibrated anew. Beside it
stands what counting multiply-adds alone gives, over all architectures and over the larger half of them; and, to see
what leads scores astray, how they go with the number of convolutions and skip connections in a cell, and of
convolutions on its deepest path. The last column has what the mean score of all seeds and the multiply-adds say
together, by mean rank.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kendalltau, rankdata, spearmanr

from benchmarks import _small

SPACE = {"channels": 8, "cells": 3}
DATA = {"name": "fashion_mnist", "side": 14, "n_train": 5000, "n_validation": 2500}


def space_of(arrays: Any, options: Mapping[str, Any] = SPACE) -> Any:
    """NAS-Bench-201's cells at this size."""
    from engine.spaces.nasbench201 import Nasbench201

    return Nasbench201(Nasbench201.Options(**options)).bind(arrays.spec)


def drawn(space: Any, n: int) -> list[str]:
    """Digits of `n` cells with a path, no two of one class."""
    rng, seen, out = np.random.default_rng(7), set(), []
    while len(out) < n:
        a = space.sample(rng)
        key = space.canonical_key(a)
        if space.live_costs(a)[1] and key not in seen:
            seen.add(key)
            out.append(space.to_digits(a))
    return out


def work(piece: Mapping[str, Any]) -> Any:
    """One training by itself, or one supernet with all its scores."""
    arrays = _small.images(**DATA)
    space = space_of(arrays)
    began = time.perf_counter()
    if piece["kind"] == "alone":
        accuracy = _small.stand_alone(
            arrays, space, space.from_digits(piece["cell"]), epochs=piece["epochs"], seed=piece["seed"]
        )
        return {"accuracy": accuracy, "s": time.perf_counter() - began}
    from engine.supernets.nets.scoring import Judge

    learner, rows, data = _small.supernet(arrays, space, piece["method"], piece["options"], seed=piece["seed"])
    trained = time.perf_counter() - began
    judge = Judge(learner, data, 512)
    scores = [judge.score(space.from_digits(c)).accuracy for c in piece["cells"]]
    spent = time.perf_counter() - began - trained
    return {"scores": scores, "loss": rows[-1]["train_loss"], "s": trained, "score_s": spent / len(scores)}


def main(argv: list[str]) -> list[dict[str, Any]]:
    """Runs what is missing and prints the table."""
    parser = argparse.ArgumentParser(prog="benchmarks shared_ranks", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--shared", default="spos:60,spos:120,fairnas:24",
        help="method:epochs; FairNAS takes 5 paths a step"
    )
    parser.add_argument("--alone", type=int, default=12, help="epochs of a network by itself")
    parser.add_argument("--twice", type=int, default=20, help="architectures that are trained by themselves twice")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--architectures", type=int, default=40)
    parser.add_argument("--options", type=json.loads, default={"batch_size": 64, "learning_rate": 0.05})
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    space = space_of(_small.images(**DATA))
    cells = drawn(space, args.architectures)
    alone = [
        {"kind": "alone", "cell": c, "epochs": args.alone, "seed": s, "space": SPACE}
        for s, some in ((0, cells), (1, cells[: args.twice]))
        for c in some
    ]
    asked = [(m, int(e)) for m, e in (word.split(":") for word in args.shared.split(","))]
    shared = [
        {"kind": "shared", "method": m, "options": {**args.options, "epochs": e}, "seed": s, "cells": cells,
         "space": SPACE}
        for m, e in asked
        for s in range(args.seeds)
    ]  # fmt: skip
    truth: dict[int, dict[str, float]] = {0: {}, 1: {}}
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for piece, result in _small.pieces(work, [*alone, *shared], name="shared_ranks", processes=args.processes):
        if piece["kind"] == "alone":
            truth[piece["seed"]][piece["cell"]] = result["accuracy"]
        else:
            found.setdefault((piece["method"], piece["options"]["epochs"]), []).append(result)
            print(json.dumps({k: v for k, v in piece.items() if k != "cells"} | {"s": round(result["s"])}), flush=True)
    mean = np.array([np.mean([t[c] for t in truth.values() if c in t]) for c in cells])
    first, second = (np.array([truth[s][c] for c in cells[: args.twice]]) for s in (0, 1))
    macs = np.array([space.costs(space.from_digits(c)).n_macs for c in cells], dtype=float)
    larger = macs >= np.median(macs)
    rows = [
        ranks(f"{len(first)} trained twice", [second], first, larger[: len(first)]),
        ranks("multiply-adds", [macs], mean, larger) | leaning([mean], cells),
    ]
    for (method, epochs), results in sorted(found.items()):
        scores = [np.array(r["scores"]) for r in results]
        spent = {what: float(np.median([r[what] for r in results])) for what in ("s", "score_s")}
        both = rankdata(np.mean(scores, axis=0)) + rankdata(macs)
        more = {"with_macs": float(spearmanr(both, mean).statistic), "scores": [r["scores"] for r in results]}
        row = ranks(f"{method}, {epochs} epochs", scores, mean, larger) | spent | leaning(scores, cells)
        rows.append(row | more)
    print(f"\n{len(cells)} cells, accuracy alone {mean.min():.3f} to {mean.max():.3f}, {args.alone} epochs")
    print(f"{'':24} Spearman, all (each seed)            larger half             Kendall  top 5   train s  score s  "
          "convs skips depth  with multiply-adds")  # fmt: skip
    for r in rows:
        each = " ".join(f"{v:.2f}" for v in r["each"])
        half = " ".join(f"{v:.2f}" for v in r["half_each"])
        print(f"{r['name']:24} {r['spearman']:.3f} ({each:15}) {r['half']:.3f} ({half:15}) {r['kendall']:.3f} "
              f"{r['top5']:.2f} {r.get('s', 0):8.0f} {r.get('score_s', 0):8.3f} {r.get('convs', 0):+.2f} "
              f"{r.get('skips', 0):+.2f} {r.get('depth', 0):+.2f} {r.get('with_macs', 0):.2f}")  # fmt: skip
    print("convs, skips, depth: Spearman with their number; of the accuracy alone in the row of multiply-adds")
    if args.json:
        args.json.write_text(json.dumps({"rows": rows, "truth": truth, "cells": cells}, indent=1))
    return rows


def leaning(scores: list[Any], cells: list[str]) -> dict[str, float]:
    """Mean rank correlation of the scores with what a cell has of convolutions, skip connections and depth."""
    counts = {
        "convs": [c.count("2") + c.count("3") for c in cells],
        "skips": [c.count("1") for c in cells],
        "depth": [depth(c) for c in cells],
    }
    return {name: float(np.mean([spearmanr(s, n).statistic for s in scores])) for name, n in counts.items()}


def depth(cell: str) -> int:
    """Most convolutions on a path from input to output; digits are edges 0->1, 0->2, 1->2, 0->3, 1->3, 2->3."""
    paths = ((3,), (0, 4), (1, 5), (0, 2, 5))
    return max(sum(cell[e] in "23" for e in path) for path in paths if all(cell[e] != "0" for e in path))


def ranks(name: str, scores: list[Any], truth: Any, larger: Any) -> dict[str, Any]:
    """Agreement of each of the scores with the truth, over all and over the larger half."""
    each = [float(spearmanr(s, truth).statistic) for s in scores]
    half = [float(spearmanr(s[larger], truth[larger]).statistic) for s in scores]
    best = set(np.argsort(-truth)[:5])
    return {
        "name": name, "spearman": float(np.mean(each)), "each": each, "half": float(np.mean(half)), "half_each": half,
        "kendall": float(np.mean([kendalltau(s, truth).statistic for s in scores])),
        "top5": float(np.mean([len(best & set(np.argsort(-s)[:5])) / 5 for s in scores])),
    }  # fmt: skip
