"""The matrix: every flavour that is tried, with the versions that it is tried with."""

from __future__ import annotations

from tests.e2e.flavors.entry import Entry

MLFLOW = "mlflow==3.17.2"
PLAIN = (MLFLOW,)
NUMBERS = dict.fromkeys(("length", "width", "weight"), "double precision")
SINGLES = dict.fromkeys(("length", "width", "weight"), "real")
TEXT = {"text": "text"}
PICKLE = {"allow_pickle": True}
SKLEARN = (MLFLOW, "scikit-learn==1.9.1")
TORCH = (MLFLOW, "torch==2.13.0", "safetensors==0.8.0")

ENTRIES = [
    Entry(
        "sklearn_skops", "scikit-learn", "`mlflow.sklearn.log_model`, its default (skops)", "frame", NUMBERS,
        ("prediction",), (*SKLEARN, "skops==0.16.0"), "scikit-learn", heavy=False, required=tuple(NUMBERS),
        model=PICKLE,
    ),
    Entry(
        "sklearn_pickle", "scikit-learn", '`serialization_format="cloudpickle"`', "frame", NUMBERS,
        ("prediction",), SKLEARN, "scikit-learn", model=PICKLE,
    ),
    Entry(
        "sklearn_predict_proba", "scikit-learn", '`pyfunc_predict_fn="predict_proba"`', "frame", NUMBERS,
        ("low", "middle", "high"), (*SKLEARN, "skops==0.16.0"), "scikit-learn", required=tuple(NUMBERS),
        model={**PICKLE, "outputs": ["low", "middle", "high"]},
    ),
    Entry(
        "xgboost_json", "XGBoost", "`mlflow.xgboost.log_model`", "frame", NUMBERS, ("prediction",),
        (*SKLEARN, "xgboost==3.2.0"), "xgboost", docker=True,
    ),
    Entry(
        "lightgbm_booster", "LightGBM", "`mlflow.lightgbm.log_model` of a booster", "frame", NUMBERS, ("prediction",),
        (*SKLEARN, "lightgbm==4.7.0"), "lightgbm",
    ),
    Entry(
        "catboost_cbm", "CatBoost", "`mlflow.catboost.log_model`", "frame", NUMBERS, ("prediction",),
        (*SKLEARN, "catboost==1.2.10"), "catboost",
    ),
    Entry(
        "statsmodels_ols", "statsmodels", "`mlflow.statsmodels.log_model`", "frame", NUMBERS, ("prediction",),
        (*SKLEARN, "statsmodels==0.15.0"), "statsmodels", model=PICKLE,
    ),
    Entry(
        "onnx_graph", "ONNX", "`mlflow.onnx.log_model`, a dict of arrays", "array", SINGLES, ("scores", "best"),
        (MLFLOW, "onnx==1.23.2", "onnxruntime==1.32.0"), "onnxruntime", required=tuple(SINGLES), heavy=False,
    ),
    Entry(
        "pytorch_pt2", "PyTorch", "`mlflow.pytorch.log_model`, its default (pt2)", "array", SINGLES, ("prediction",),
        TORCH, "torch", required=tuple(SINGLES),
    ),
    Entry(
        "pytorch_pickle", "PyTorch", '`serialization_format="pickle"`', "array", SINGLES, ("no", "yes"), TORCH, "torch",
        required=tuple(SINGLES), model={**PICKLE, "outputs": ["no", "yes"]},
    ),
    Entry(
        "pytorch_state_dict", "PyTorch", "safetensors, and a pyfunc from code", "array", SINGLES, ("prediction",),
        TORCH, "torch", model={"nulls": "nan"},
    ),
    Entry(
        "transformers_text_classification", "transformers", "`mlflow.transformers.log_model` of a pipeline", "texts",
        TEXT, ("label", "score"), (*TORCH, "transformers==5.17.0"), "transformers",
        required=tuple(TEXT),
    ),
    Entry(
        "sentence_transformer", "sentence-transformers", "`mlflow.sentence_transformers.log_model`", "texts", TEXT,
        ("prediction",), (*TORCH, "transformers==5.17.0", "sentence-transformers==6.2.0"), "sentence-transformers",
        required=tuple(TEXT),
    ),
    Entry(
        "hints_text", "pyfunc", "type hints: `list[str] -> list[str]`", "texts", TEXT, ("prediction",), PLAIN, "mlflow",
        required=tuple(TEXT), heavy=False, docker=True,
    ),
    Entry(
        "hints_pydantic", "pyfunc", "type hints: a list of pydantic models", "records",
        {"title": "text", "stars": "bigint"}, ("prediction",), PLAIN, "mlflow", required=("title",),
    ),
    Entry(
        "from_code", "pyfunc", "models from code; several columns", "frame",
        {"text": "text", "stars": "double precision"}, ("digest", "length", "score"), PLAIN, "mlflow", heavy=False,
    ),
    Entry(
        "list_of_dicts", "pyfunc", "models from code; a list of dicts", "frame", TEXT, ("label", "length"), PLAIN,
        "mlflow",
    ),
    Entry(
        "signature_params", "pyfunc", "models from code; the signature's params", "frame",
        {"length": "double precision"}, ("scaled",), PLAIN, "mlflow", model={"params": {"factor": 2.5}},
        params={"factor": 2.5},
    ),
    Entry(
        "mlflow_2_9", "MLflow 2.9", "`mlflow.sklearn.log_model` of that time (pickle)", "frame", NUMBERS,
        ("prediction",),
        ("mlflow==2.9.2", "scikit-learn==1.3.2", "numpy==1.26.4", "pandas==2.1.4", "setuptools==75.8.0"), "mlflow",
        model=PICKLE,
    ),
]  # fmt: skip
