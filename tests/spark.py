"""A real Apache Spark for the tests, in a process of its own, that answers one statement after another."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from processes import kill_group

_FETCHED = Path(__file__).parent.parent / ".ci/cache/spark/jars"
# Small: one core, and quick to start rather than quick in the long run. Delta's own default is 50 parts a snapshot.
_PROGRAM = """
import json, sys
from pathlib import Path
from pyspark.sql import SparkSession

jars, folder = sys.argv[1:]
settings = {
    "spark.jars": ",".join(map(str, Path(jars).glob("*.jar"))),
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.warehouse.dir": folder,
    "spark.driver.extraJavaOptions": f"-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dderby.system.home={folder}",
    "spark.driver.memory": "640m",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "1",
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
}
builder = SparkSession.builder.master("local[1]")
for name, value in settings.items():
    builder = builder.config(name, value)
session = builder.getOrCreate()
for line in sys.stdin:
    try:
        rows = [list(row) for row in session.sql(json.loads(line)).collect()]
    except Exception as error:
        print("failure " + json.dumps(str(error)), flush=True)
    else:
        print("answer " + json.dumps(rows, default=str), flush=True)
"""


class Spark:
    """A session.

    Args:
        process: which runs it.
        log: where it writes what it complains of.
    """

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process, self._log = process, log

    def sql(self, statement: str) -> list[list[object]]:
        """The rows that a statement gives; dates are text."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(statement) + "\n")
            self._process.stdin.flush()
        for line in self._process.stdout:
            kind, _, said = line.partition(" ")
            if kind == "failure":
                pytest.fail(json.loads(said)[:4_000])
            if kind == "answer":
                return json.loads(said)
        pytest.fail(self._log.read_text()[-4_000:])


@contextlib.contextmanager
def spark_session(folder: Path) -> Iterator[Spark]:
    """A session until the end of the block.

    Args:
        folder: of its own.
    """
    pytest.importorskip("pyspark", reason="needs pyspark")
    jars = Path(os.environ.get("CENTTRACK_TEST_SPARK") or _FETCHED)
    if not any(jars.glob("delta-spark_*.jar")):
        pytest.skip("needs the jars of scripts/fetch_spark.sh, or CENTTRACK_TEST_SPARK, which names their folder")
    if not shutil.which("java"):
        pytest.skip("needs Java 17 or newer")
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_LOCAL_DIRS": str(folder)}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(jars), str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            cwd=folder, env=environment, start_new_session=True,
        )  # fmt: skip
    with process:
        try:
            yield Spark(process, folder / "log")
        finally:
            kill_group(process)
