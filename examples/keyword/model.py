"""Key phrases of a short Korean or English message, best first, each with a score.

MLflow stores this file as the model's code, beside one artifact and no pickle:
`weights.safetensors` (coefficients and intercept of a logistic regression).

Each word of the message gets the probability that it belongs to the key phrase, from its letters
and its neighbours. Neighbouring words with a chance of MIN_CHANCE or more form a phrase.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import Any, Iterator, NamedTuple, Sequence

import mlflow.models
import numpy as np
import pandas as pd
from mlflow.pyfunc.model import PythonModel
from safetensors.numpy import load_file
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression

MAX_CHARACTERS = 4000  # of a message that are read, so that one huge row cannot exhaust the memory
MAX_KEYWORDS, MAX_WORDS = 5, 3  # of a message, of a key phrase
MIN_CHANCE = 0.35  # below one half: a missing keyword is worse here than one too many
BUCKETS = 2**16  # of the hashed features
WORD = re.compile(r"[\w'&-]*\w")
BREAK = re.compile(r"[.,!?;:()\[\]\"\n]")  # no phrase reaches across one of these
# Longest first. A particle is cut only where at least two syllables remain: 회의 is no 회 + 의.
PARTICLES = re.compile(
    r"(?<=[가-힣]{2})(?:에서는|으로는|이라는|에게서|에서|에게|으로|까지|부터|한테|이랑|처럼|보다|라는"
    r"|은|는|이|가|을|를|의|에|도|로|와|과|만|랑)$"
)


class Word(NamedTuple):
    """A word of a message; words of one clause may form a phrase."""

    text: str  # as written, without its Korean particle
    clause: int  # 0, 1, ... between the breaks
    features: list[str]


def split_words(message: str) -> list[Word]:
    """The words of a message, in order, with the features that the regression sees."""
    found = []
    for clause, part in enumerate(BREAK.split(message[:MAX_CHARACTERS])):
        found += [(written, clause) for written in WORD.findall(part)]
    stems = [PARTICLES.sub("", written) for written, _ in found]
    padded = ["^", *(written.lower() for written, _ in found), "$"]
    words = []
    for i, (stem, (_, clause)) in enumerate(zip(stems, found)):
        before, here, after = padded[i : i + 3]
        features = [f"word={stem.lower()}", f"before={before}", f"after={after}"]
        features += [f"start={here[:n]}" for n in (1, 2, 3)]
        features += [f"end={here[-n:]}" for n in (1, 2, 3)]
        features += [f"before end={before[-2:]}", f"after end={after[-2:]}"]
        features += [f"position={min(i, 5)}", f"to go={min(len(found) - i, 4)}"]
        features += [f"particle={here[len(stem) :]}", f"length={min(len(stem), 8)}"]
        words.append(Word(stem, clause, features))
    return words


def hash_features(words: Sequence[Word]) -> Any:
    """A sparse matrix [words, BUCKETS], each row of length 1; the hashing needs no training."""
    vectorizer = HashingVectorizer(n_features=BUCKETS, analyzer=lambda word: word.features)
    return vectorizer.transform(words)


def find_phrases(words: Sequence[Word], chances: Sequence[float]) -> list[tuple[str, float]]:
    """At most MAX_KEYWORDS distinct phrases with their scores (0 to 1, mean chance), best first."""
    scores: dict[str, float] = {}
    for phrase in _runs(words, chances):
        text = " ".join(words[i].text for i in phrase)
        score = float(np.mean([chances[i] for i in phrase]))
        scores[text] = max(score, scores.get(text, 0.0))
    return sorted(scores.items(), key=lambda item: -item[1])[:MAX_KEYWORDS]


def _runs(words: Sequence[Word], chances: Sequence[float]) -> Iterator[list[int]]:
    def belongs(i: int) -> tuple[bool, int]:
        return chances[i] >= MIN_CHANCE, words[i].clause

    for (chosen, _), run in groupby(range(len(words)), belongs):
        spots = list(run)
        if chosen:
            yield from (spots[i : i + MAX_WORDS] for i in range(0, len(spots), MAX_WORDS))


class KeywordModel(PythonModel):
    """text (string) -> keywords (strings, best first, at most 5), scores (0 to 1, as many)."""

    def load_context(self, context: Any) -> None:
        weights = load_file(context.artifacts["weights"])
        self.regression = LogisticRegression()  # rebuilt from its numbers: nothing is unpickled
        self.regression.coef_, self.regression.intercept_ = weights["coef"], weights["intercept"]
        self.regression.classes_ = np.array([False, True])

    # MLflow takes this short form too; its base class is typed for the long one only.
    def predict(self, model_input: pd.DataFrame) -> pd.DataFrame:  # type: ignore[override]
        """One row per message, in their order; ValueError if a text is NULL."""
        nulls = model_input["text"].isna().to_numpy()
        if nulls.any():
            raise ValueError(
                f"text is NULL in {nulls.sum()} of {len(nulls)} rows (first at position "
                f"{nulls.argmax()}); the keyword model needs a text: leave such rows out"
            )
        messages = [split_words(text) for text in model_input["text"]]
        words = [word for message in messages for word in message]
        chances: list[float] = []
        if words:
            chances = self.regression.predict_proba(hash_features(words))[:, 1].tolist()
        phrases, start = [], 0
        for message in messages:
            phrases.append(find_phrases(message, chances[start : start + len(message)]))
            start += len(message)
        return pd.DataFrame(
            {
                "keywords": pd.Series([[text for text, _ in row] for row in phrases], dtype=object),
                "scores": pd.Series([[score for _, score in row] for row in phrases], dtype=object),
            }
        )


mlflow.models.set_model(KeywordModel())
