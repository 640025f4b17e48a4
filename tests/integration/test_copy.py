"""What a model returns is what people read: each kind of output through COPY and back."""

from __future__ import annotations

import datetime
import math
from typing import Any

import pandas as pd

from inference.base.database import Databases
from inference.base.outputs import Output
from inference.base.signature import Signature
from tests.stub import TEXT, Pipeline, create_messages, job, predictions

MOMENT = datetime.datetime(2024, 1, 2, 3, 4, 5, 678901)
AWKWARD = "tab\tnew\nline\rback\\slash \\N \\. 'quote' \"double\" {brace} %s :x é 한국 😀\x01\x7f"
# Each output's kind, the values that the model returns, and those that people read where they differ.
VALUES: dict[str, tuple[str, list[Any], list[Any] | None]] = {
    "yes": ("boolean", [True, False, None, True], None),
    "small": ("integer", [-(2**31), 2**31 - 1, None, 0], None),
    "large": ("bigint", [-(2**63), 2**63 - 1, None, 0], None),
    "single": ("real", [0.5, -0.25, 3, 1e10], None),
    "number": ("double precision", [0.1, 1e-320, -math.inf, 1.7976931348623157e308], None),
    "words": ("text", [AWKWARD, "", "\\N", "NULL"], None),
    "raw": ("bytea", [b"\x00\xff\\", b"", None, b"\\N"], None),
    "at": ("timestamp", [MOMENT, datetime.datetime(1, 1, 1), None, datetime.datetime(9999, 12, 31, 23, 59)], None),
    "json": ("jsonb", [{"a": [1, "\\u0000", AWKWARD]}, [], "text", 5], None),
    "list": ("text[]", [["a,b", None, '"', "{}", "NULL", ""], [], None, [AWKWARD]], None),
    "points": ("double precision[]", [[0.1, math.inf], [], None, [5]], [[0.1, math.inf], [], None, [5.0]]),
    "flags": ("boolean[]", [[True, None], [], None, [False]], None),
    "days": ("timestamp[]", [[MOMENT], [], None, [MOMENT, None]], None),
    "blobs": ("bytea[]", [[b"\x00\\"], [], None, [b""]], None),
}


class Model:
    def predict(self, data: pd.DataFrame) -> pd.DataFrame:
        numbers = [int(text) for text in data["text"]]
        columns = {
            name: pd.Series([values[number] for number in numbers], dtype=object)
            for name, (_, values, _) in VALUES.items()
        }
        return pd.DataFrame(columns)


def plain(value: Any) -> Any:
    if isinstance(value, list):
        return [plain(item) for item in value]
    return bytes(value) if isinstance(value, memoryview) else value


def test_every_kind_of_output_comes_back_as_it_was_returned(databases: Databases) -> None:
    create_messages(databases, ["0", "1", "2", "3"])
    signature = Signature(TEXT.inputs, tuple(Output(name, kind, False) for name, (kind, _, _) in VALUES.items()))

    Pipeline(databases, predictor=Model(), signature=signature).run()

    found = predictions(databases)
    assert len(found) == 4
    for number in range(4):
        read = {name: plain(found[number + 1][name]) for name in VALUES}
        assert read == {name: (wanted or values)[number] for name, (_, values, wanted) in VALUES.items()}


def test_a_missing_float_is_nan_whatever_stands_beside_it(databases: Databases) -> None:
    """F2: pandas makes NaN of None where there is another number in the batch, and leaves it alone if there is none."""
    create_messages(databases, ["0.5", "none", "nan", "1"])
    answers = {"0.5": 0.5, "none": None, "nan": math.nan, "1": 1}
    signature = Signature(TEXT.inputs, (Output("score", "double precision", False), Output("whole", "bigint", False)))

    class Missing:
        def predict(self, data: pd.DataFrame) -> pd.DataFrame:
            found = [answers[text] for text in data["text"]]
            return pd.DataFrame({"score": found, "whole": [None if one == 0.5 else one for one in found]})

    seen = []
    for rows in (1, 4):
        checks = {"outputs": {"score": {"nulls": True}, "whole": {"nulls": True}}}
        pipeline = Pipeline(databases, job(sizes={"batch_rows": rows}, checks=checks), Missing(), signature)
        pipeline.run(mode="key_range", key_from="0")
        seen.append([(repr(row["score"]), row["whole"]) for _, row in sorted(predictions(databases).items())])

    assert seen == [[("0.5", None), ("nan", None), ("nan", None), ("1.0", 1)]] * 2
