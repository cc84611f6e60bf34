"""Sentences with a class each: TREC's question types and the sentences of SST-2, as word numbers."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from engine.data.arrays import Arrays, Split, Tell
from engine.data.local import Content, Files, LocalOptions, Marks, expect_classes, fewer, lines, partition
from engine.data.spec import DataSpec
from engine.data.split import Indices, digest
from engine.errors import DataError

PADDING, UNKNOWN, FIRST_WORD = 0, 1, 2
TOKEN = re.compile(r"\w+|[^\w\s]")


class TextOptions(LocalOptions):
    """Options of a set of sentences."""

    length: int | None = Field(
        None, ge=2, le=1024, description="Words of a sentence that are read, the first ones; empty = the set's usual."
    )
    min_count: int = Field(
        2, ge=1, le=10_000, description="A word that the training split holds less often is an unknown word."
    )


def tokens(text: str) -> list[str]:
    """Lower-cased words and single signs: "How far is it?" -> how, far, is, it, ?."""
    return TOKEN.findall(unicodedata.normalize("NFC", text).lower())


def vocabulary(sentences: Sequence[Sequence[str]], min_count: int) -> tuple[str, ...]:
    """Words that occur at least `min_count` times, the most frequent first; their numbers begin at `FIRST_WORD`."""
    counts = Counter(word for sentence in sentences for word in sentence)
    kept = [(-n, word) for word, n in counts.items() if n >= min_count]
    return tuple(word for _, word in sorted(kept))


def encode(sentences: Sequence[Sequence[str]], words: Sequence[str], length: int) -> NDArray[np.int32]:
    """Word numbers (n, length): 0 behind the end, 1 for a word that is not in `words`."""
    numbers = {word: i for i, word in enumerate(words, start=FIRST_WORD)}
    out = np.zeros((len(sentences), length), dtype=np.int32)
    for row, sentence in zip(out, sentences, strict=True):
        found = [numbers.get(word, UNKNOWN) for word in sentence[:length]]
        row[: len(found)] = found
    return out


@dataclass(frozen=True)
class TextSet:
    """A set of sentences in files of `label<TAB>text`.

    Attributes:
        name, title, summary: as everywhere.
        files: training and test file, and where there is one a validation file behind them.
        class_names: by label, which is a number from 0.
        length: words that are read unless an option says otherwise.
        n_validation: taken off the training file where there is no validation file.
    """

    name: str
    title: str
    summary: str
    files: Files
    class_names: tuple[str, ...]
    length: int
    n_validation: int
    Options: type[BaseModel] = TextOptions

    def availability(self, options: Any = None) -> tuple[bool, str]:
        """Whether the files are on this machine."""
        return self.files.availability()

    def spec(self, options: Any) -> DataSpec:
        """The spec, computed from the files (well under a second, once per process)."""
        return _read(self, options, self.files.marks())[0].arrays.spec

    def load(self, options: Any, tell: Tell | None = None) -> Arrays:
        """Training and validation split: (n, length) int32 word numbers."""
        return _read(self, options, self.files.marks())[0].copy()

    def load_test(self, options: Any) -> Split:
        """The sealed test split: the set's own test file."""
        return _read(self, options, self.files.marks())[0].test

    def preprocessing(self, options: Any) -> dict[str, Any]:
        """The words by number, from `FIRST_WORD` on."""
        content, words = _read(self, options, self.files.marks())
        return {"kind": "text", "words": list(words), "length": content.arrays.spec.input_shape[0]}


@lru_cache(maxsize=8)
def _read(source: TextSet, options: TextOptions, marks: Marks) -> tuple[Content, tuple[str, ...]]:
    parts = [_labelled(Path(path), len(source.class_names)) for path, _, _ in marks]
    sentences = [sentence for part in parts for sentence in part[0]]
    y = np.array([label for part in parts for label in part[1]], dtype=np.int64)
    sizes = [len(part[1]) for part in parts]
    train, validation, test = _split(source, options, y, sizes)
    words = vocabulary([sentences[i] for i in train], options.min_count)
    length = options.length or source.length
    x = encode(sentences, words, length)
    spec = DataSpec(
        name=source.name,
        kind="text",
        input_shape=(length,),
        n_classes=len(source.class_names),
        class_names=source.class_names,
        sizes={"train": len(train), "validation": len(validation), "test": len(test)},
        digest=digest(np.frombuffer("\n".join(map(" ".join, sentences)).encode(), dtype=np.uint8), y),
        split_digest=digest(*(part.astype(np.int64) for part in (train, validation, test))),
        mean=(0.0,),
        std=(1.0,),
        vocabulary=len(words) + FIRST_WORD,
    )
    arrays = Arrays(spec, Split(x[train], y[train]), Split(x[validation], y[validation]))
    return Content(arrays, Split(x[test], y[test])), words


def _split(
    source: TextSet, options: TextOptions, y: NDArray[np.int64], sizes: Sequence[int]
) -> tuple[Indices, Indices, Indices]:
    """Indices of training, validation and test samples; files come in the order training, test, validation."""
    n_train, n_test = sizes[:2]
    test = np.arange(n_train, n_train + n_test)
    opened = np.concatenate([np.arange(n_train), np.arange(n_train + n_test, len(y))])
    if len(sizes) == 2 or options.validation is not None:  # drawn from all that is not sealed
        train, validation = partition(
            source.title, y[opened], len(source.class_names), source.n_validation, options, len(y)
        )
        return opened[train], opened[validation], test
    train = fewer(y, np.arange(n_train), options.train, np.random.default_rng([options.split_seed, len(y)]))
    expect_classes(source.title, y[train], len(source.class_names))
    return train, opened[n_train:], test


def _labelled(path: Path, n_classes: int) -> tuple[list[list[str]], list[int]]:
    """Words and label of each line.

    Raises:
        DataError: a line without a label or without words, with an unknown label, or no line at all.
    """
    allowed = {str(i): i for i in range(n_classes)}
    sentences, labels = [], []
    for number, line in enumerate(lines(path), start=1):
        label, tab, text = line.partition("\t")
        where = f"{path.name}, line {number}"
        if not tab:
            raise DataError(f"{where}: expected a label, a tab and a text, got {line[:60]!r}")
        if label not in allowed:
            raise DataError(f"{where}: unknown label {label[:60]!r}; the labels are 0 to {n_classes - 1}")
        words = tokens(text)
        if not words:
            raise DataError(f"{where}: the text holds no word")
        sentences.append(words)
        labels.append(allowed[label])
    if not labels:
        raise DataError(f"{path.name} is empty")
    return sentences, labels


TREC = TextSet(
    name="trec",
    title="TREC questions",
    summary="5,952 questions in English, 6 types of answer",
    files=Files("trec", "TREC", "text", ("trec6_train.tsv.gz", "trec6_test.tsv.gz")),
    class_names=("description", "entity", "abbreviation", "human", "location", "number"),
    length=24,
    n_validation=500,
)
SST2 = TextSet(
    name="sst2",
    title="SST-2 sentences",
    summary="9,613 sentences of film reviews, for or against the film",
    files=Files("sst2", "SST-2", "text", ("sst2_train.tsv.gz", "sst2_test.tsv.gz", "sst2_dev.tsv.gz")),
    class_names=("negative", "positive"),
    length=32,
    n_validation=872,
)
TEXTS = (TREC, SST2)
