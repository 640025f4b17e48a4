"""A pipeline of transformers that says the label of a text."""

import sys

import mlflow
import torch
import transformers
from bert import TEXTS, config, tokenizer

labels = {0: "complaint", 1: "praise", 2: "question"}
settings = config(id2label=labels, label2id={label: number for number, label in labels.items()})
model = transformers.BertForSequenceClassification(settings).eval()
pipeline = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer(), truncation=True)
# The flavour's own list of packages has torchvision, which a model of texts does not need.
packages = [f"{module.__name__}=={module.__version__.partition('+')[0]}" for module in (mlflow, torch, transformers)]
mlflow.transformers.log_model(
    pipeline, name="model", input_example=TEXTS[:2], registered_model_name=sys.argv[1], pip_requirements=packages
)
