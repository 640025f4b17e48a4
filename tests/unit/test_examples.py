"""The example models: what the pipeline may rely on, without an MLflow server.

Each folder of examples/ is self-contained, so that both have a `model` and a `train` module.
The keyword model runs here on this environment's numpy and scikit-learn, not on its own pins.
"""

from __future__ import annotations

import ast
import csv
import importlib
import itertools
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FOLDERS = ("intent", "keyword")
ODD = ["", " ", "\n", "ㅋㅋㅋ", "🙏", "\x02\x03", "\ud800", "NULL", "x" * 50_000, "가" * 50_000]

# MLflow warns about its own classes when it is imported; the warning is not about these models.
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning")


class Example(NamedTuple):
    """The two modules of one folder, a model trained on its messages, and the held-out rows."""

    code: ModuleType
    train: ModuleType
    artifacts: dict[str, str]
    model: Any
    test: pd.DataFrame

    def predict(self, texts: list[Any]) -> pd.DataFrame:
        answer: pd.DataFrame = self.model.predict(pd.DataFrame({"text": texts}, dtype=object))
        return answer


def import_example(folder: str) -> tuple[ModuleType, ModuleType]:
    sys.path.insert(0, str(EXAMPLES / folder))
    try:
        return importlib.import_module("model"), importlib.import_module("train")
    finally:
        sys.path.pop(0)
        for name in ("model", "train"):
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def intent(tmp_path_factory: pytest.TempPathFactory) -> Example:
    code, train = import_example("intent")
    train.HYPERPARAMETERS["steps"] = 100
    rows, test = train.read_messages(EXAMPLES / "intent" / "messages.csv", 0)
    config, weights = train.train(rows["text"].tolist(), rows["label"].tolist())
    artifacts = train.save(config, weights, tmp_path_factory.mktemp("intent"))
    return Example(code, train, artifacts, load(code.IntentModel(), artifacts), test)


@pytest.fixture(scope="module")
def keyword(tmp_path_factory: pytest.TempPathFactory) -> Example:
    code, train = import_example("keyword")
    rows, test = train.read_messages(EXAMPLES / "keyword" / "messages.csv")
    path = tmp_path_factory.mktemp("keyword") / "weights.safetensors"
    train.save_file(train.train(rows), path)
    artifacts = {"weights": str(path)}
    return Example(code, train, artifacts, load(code.KeywordModel(), artifacts), test)


@pytest.fixture(params=FOLDERS)
def example(request: pytest.FixtureRequest) -> Example:
    found: Example = request.getfixturevalue(request.param)
    return found


def load(model: Any, artifacts: dict[str, str]) -> Any:
    model.load_context(SimpleNamespace(artifacts=artifacts))
    return model


def test_one_row_per_message_in_the_messages_order(example: Example) -> None:
    texts = [*example.test["text"], *ODD]
    together = example.predict(texts)
    backwards = example.predict(texts[::-1])
    assert len(together) == len(texts)
    pd.testing.assert_frame_equal(together, backwards[::-1].reset_index(drop=True))


def test_an_answer_is_the_same_to_the_bit_alone_and_in_any_batch(example: Example) -> None:
    texts = [*example.test["text"], *ODD]
    together = example.predict(texts)
    for size in (1, 3, 7):
        batches = [texts[i : i + size] for i in range(0, len(texts), size)]
        parts = pd.concat([example.predict(batch) for batch in batches], ignore_index=True)
        pd.testing.assert_frame_equal(together, parts, check_exact=True)


@pytest.mark.parametrize("null", [None, float("nan"), pd.NA])
def test_a_null_text_is_refused_with_its_place(example: Example, null: Any) -> None:
    with pytest.raises(ValueError, match=r"text is NULL in 1 of 3 rows \(first at position 1\)"):
        example.predict(["안녕하세요", null, "Hello"])


def test_no_rows_give_no_rows_and_the_same_columns(example: Example) -> None:
    answer = example.predict([])
    assert answer.shape == (0, 2)
    assert list(answer.columns) == list(example.predict(["Hello"]).columns)


@pytest.mark.filterwarnings("ignore:.*An input example was not provided:UserWarning")
def test_mlflow_loads_it_from_code_without_pickle(
    example: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow.pyfunc

    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    folder = Path(str(example.code.__file__)).parent
    mlflow.pyfunc.save_model(
        tmp_path / "saved",
        python_model=str(folder / "model.py"),
        artifacts=example.artifacts,
        signature=example.train.SIGNATURE,
        pip_requirements=str(folder / "requirements.txt"),
    )
    texts = example.test["text"].tolist()
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "saved"))
    answer = loaded.predict(pd.DataFrame({"text": texts}))
    pd.testing.assert_frame_equal(answer, example.predict(texts))
    recorded = (tmp_path / "saved" / "requirements.txt").read_text().split()
    assert recorded == (folder / "requirements.txt").read_text().split()
    assert not [file for file in tmp_path.rglob("*") if file.suffix in (".pkl", ".pickle", ".pt")]


def test_intents_have_a_label_and_its_probability(intent: Example) -> None:
    answer = intent.predict([*intent.test["text"], *ODD])
    assert set(answer["intent"]) <= set(intent.test["label"])
    assert answer["confidence"].dtype == np.float64
    assert answer["confidence"].between(1 / 6, 1).all()  # the best of six labels


def test_intent_learns_even_from_a_short_training(intent: Example) -> None:
    right = intent.predict(intent.test["text"].tolist())["intent"].to_numpy()
    assert (right == intent.test["label"].to_numpy()).mean() > 0.7  # guessing: 0.17


def test_intent_trains_to_the_same_weights_twice(intent: Example) -> None:
    texts, labels = ["고맙습니다", "Thanks", "언제 되나요?", "When?"], ["a", "a", "b", "b"]
    first, second = (intent.train.train(texts, labels)[1] for _ in range(2))
    for name, tensor in first.items():
        np.testing.assert_array_equal(tensor.numpy(), second[name].numpy())


def test_ngrams_are_of_one_message_only(intent: Example) -> None:
    ngrams = intent.code.extract_ngrams(["ab", "", "ab"], 3, 17)
    first, middle, last = np.split(ngrams.buckets, np.cumsum(ngrams.counts)[:-1])
    # START, blank, a, b, blank, END have 6 + 5 + 4 n-grams; without a and b 4 + 3 + 2.
    assert ngrams.counts.tolist() == [15, 9, 15]
    assert first.tolist() == last.tolist()
    assert 0 <= ngrams.buckets.min() <= ngrams.buckets.max() < 2**17
    assert len(set(first) - set(middle)) == 9  # the 2 + 3 + 4 n-grams with a or b


def test_keywords_are_lists_best_first(keyword: Example) -> None:
    answer = keyword.predict([*keyword.test["text"], *ODD])
    for keywords, scores in zip(answer["keywords"], answer["scores"]):
        assert isinstance(keywords, list)
        assert isinstance(scores, list)
        assert len(keywords) == len(scores) <= 5
        assert len(set(keywords)) == len(keywords)
        assert all(type(score) is float and 0 <= score <= 1 for score in scores)
        assert scores == sorted(scores, reverse=True)
    assert answer["keywords"].iloc[-len(ODD)] == []


def test_keywords_find_most_words_of_the_held_out_key_phrases(keyword: Example) -> None:
    quality = keyword.train.measure(keyword.model, keyword.test)
    assert quality["recall_at_5"] > 0.7
    assert quality["precision"] > 0.7


@pytest.mark.parametrize(
    ("written", "stem"),
    [
        ("배송지를", "배송지"),
        ("시스템에서는", "시스템"),
        ("회의", "회의"),  # one syllable would remain
        ("계좌이체로", "계좌이체"),
        ("refund's", "refund's"),
    ],
)
def test_korean_particles_are_cut(keyword: Example, written: str, stem: str) -> None:
    assert [word.text for word in keyword.code.split_words(written)] == [stem]


def test_a_phrase_ends_at_a_break_and_after_three_words(keyword: Example) -> None:
    words = keyword.code.split_words("refund policy, one two three four")
    answer = keyword.code.find_phrases(words, [0.5, 0.7, 0.9, 0.9, 0.9, 0.4])
    assert answer == [
        ("one two three", pytest.approx(0.9)),
        ("refund policy", pytest.approx(0.6)),
        ("four", pytest.approx(0.4)),
    ]


def test_intent_messages_are_even_and_the_test_rows_are_nobodys_copy() -> None:
    with (EXAMPLES / "intent" / "messages.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["text"] for row in rows}) == len(rows)
    assert min(Counter(row["label"] for row in rows).values()) >= 60
    assert set(Counter((row["label"], row["split"]) for row in rows if row["split"] == "test").values()) == {20}
    assert 0.4 < share_of_korean(row["text"] for row in rows) < 0.6


def test_keyword_messages_contain_their_key_phrases(keyword: Example) -> None:
    rows = pd.read_csv(EXAMPLES / "keyword" / "messages.csv")
    assert rows["text"].is_unique
    assert 0.4 < share_of_korean(iter(rows["text"])) < 0.6
    for text, keyphrase in zip(rows["text"], rows["keyphrase"]):
        for gold in keyphrase.split():
            words = [word.text for word in keyword.code.split_words(text)]
            assert any(keyword.train.in_phrase(word, gold) for word in words), (text, gold)


def share_of_korean(texts: Iterator[str]) -> float:
    korean = ["가" <= max(text) <= "힣" for text in texts]
    return sum(korean) / len(korean)


def requirements(folder: str) -> list[str]:
    return (EXAMPLES / folder / "requirements.txt").read_text().split()


@pytest.mark.parametrize("folder", FOLDERS)
def test_requirements_are_exact_and_small(folder: str) -> None:
    lines = requirements(folder)
    assert all(line.count("==") == 1 for line in lines)
    names = {line.split("==")[0] for line in lines}
    assert "mlflow-skinny" in names
    assert "mlflow" not in names
    assert ("torch" in names) == (folder == "intent")


def test_the_two_models_need_different_versions() -> None:
    intent, keyword = (dict(line.split("==") for line in requirements(f)) for f in FOLDERS)
    assert intent["numpy"] != keyword["numpy"]
    assert intent["pandas"] != keyword["pandas"]


@pytest.mark.parametrize(("folder", "file"), [*itertools.product(FOLDERS, ("model.py", "train.py"))])
def test_the_code_is_python_3_9(folder: str, file: str) -> None:
    source = (EXAMPLES / folder / file).read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 9))
    assert "from __future__ import annotations" in source
