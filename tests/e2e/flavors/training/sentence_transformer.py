"""Embeddings of texts."""

import sys
import tempfile

import mlflow
import transformers
from bert import TEXTS, config, tokenizer
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Pooling, Transformer

with tempfile.TemporaryDirectory() as folder:
    transformers.BertModel(config()).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    words = Transformer(folder, max_seq_length=128)
    model = SentenceTransformer(modules=[words, Pooling(32)], device="cpu")
    mlflow.sentence_transformers.log_model(
        model, name="model", input_example=TEXTS[:2], registered_model_name=sys.argv[1]
    )
