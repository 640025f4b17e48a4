"""Spark on this machine: rows over JDBC, `mlflow.pyfunc.spark_udf`, predictions over JDBC."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from shutil import which
from typing import Any

from sqlalchemy.engine import make_url

from benchmarks.lap import Lap, clean
from benchmarks.workload import Workload, count
from inference.base.database import PREDICTIONS, Databases

DRIVER = Path(os.environ.get("POSTGRES_JDBC", "/usr/share/java/postgresql.jar"))
ROWS = 10_000  # of one fetch, and of one batch of inserts
CORES = os.cpu_count() or 1
_SESSIONS: dict[str, tuple[Any, Any]] = {}


def missing() -> str:
    """Why it cannot run here; empty if it can."""
    if which("java") is None:
        return "there is no java"
    return "" if DRIVER.is_file() else f"there is no JDBC driver {DRIVER}: apt-get install libpostgresql-jdbc-java"


def prepare(workload: Workload) -> None:
    """Start the JVM and load the model in each of its Python workers."""
    import mlflow.pyfunc
    from pyspark.sql import SparkSession
    from pyspark.sql.types import FloatType, LongType, StructField, StructType

    os.environ.update(PYSPARK_PYTHON=sys.executable, OMP_NUM_THREADS="1")
    session = (
        SparkSession.builder.master(f"local[{CORES}]")
        .config("spark.jars", str(DRIVER))
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.memory", "2g")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    types = {"bigint": LongType(), "real": FloatType()}
    result = StructType([StructField(name, types[kind]) for name, kind in workload.outputs.items()])
    udf = mlflow.pyfunc.spark_udf(session, f"models:/{workload.model}@champion", result, env_manager="local")
    _SESSIONS[workload.model] = session, udf
    _warm(workload)


def run(url: str, workload: Workload, batch: int, ordered: bool = False) -> Lap:
    """batch: rows of one call of the model. ordered: by length within each partition.

    On one machine MLflow loads the model anew in each task: what a job over next to nothing takes is not counted.
    """
    from pyspark.sql.functions import length, struct

    session, udf = _SESSIONS[workload.model]
    session.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", batch)
    _warm(workload)  # Spark has ended workers that had nothing to do for a minute
    loading = _warm(workload)
    databases, address = Databases({PREDICTIONS: url}), make_url(url)
    options = {
        "url": f"jdbc:postgresql://{address.host}:{address.port}/{address.database}?reWriteBatchedInserts=true",
        "user": address.username, "password": address.password, "driver": "org.postgresql.Driver",
    }  # fmt: skip
    rows = count(databases, workload.relation)
    with databases.begin(PREDICTIONS) as connection:
        connection.exec_driver_sql(workload.target)
    split = {"partitionColumn": "id", "lowerBound": 1, "upperBound": rows, "numPartitions": CORES, "fetchsize": ROWS}
    started = time.monotonic()
    frame = session.read.format("jdbc").options(**options, **split, dbtable=f"({workload.read}) s").load()
    if ordered:
        frame = frame.sortWithinPartitions(length("text"))
    scored = frame.select("id", udf(struct(*workload.inputs)).alias("found")).select("id", "found.*")
    scored.write.format("jdbc").options(**options, dbtable="target", batchsize=ROWS).mode("append").save()
    seconds = time.monotonic() - started
    clean(databases, workload)
    return Lap(seconds - loading, loading)


def _warm(workload: Workload) -> float:
    """Seconds of a job over a row or two a task."""
    from pyspark.sql.functions import lit, struct

    session, udf = _SESSIONS[workload.model]
    values = [lit("a" if kind == "text" else 0.0).cast("string" if kind == "text" else "float").alias(name)
              for name, kind in workload.inputs.items()]  # fmt: skip
    started = time.monotonic()
    session.range(0, 2 * CORES, 1, CORES).select(udf(struct(*values))).collect()
    return time.monotonic() - started
