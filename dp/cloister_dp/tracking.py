"""Records a finished training as an MLflow run; never fails a training that has been paid for.

What is written is public already or paid for: the mechanism's parameters, epsilon by epoch, the
noisy loss, and which reservation paid. No number of rows, no digest, no sample and no loss without
noise, which would all be further releases. The run goes to ``MLFLOW_TRACKING_URI`` if that is set,
else to ``mlflow.db`` in the working directory. MLflow's process-wide settings are left alone.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import warnings
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

DEFAULT_EXPERIMENT = "cloister"

# MLflow tries an unreachable server for minutes unless it is told not to, and calls home.
_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
}
_LOUD_LOGGERS = ("alembic", "mlflow", "mlflow.store.db.utils")


class TrackingWarning(UserWarning):
    """A training succeeded, and could not be recorded in MLflow."""


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a metric after some steps."""

    metric: str
    value: float
    step: int


def log_run(
    experiment: str | None,
    params: Mapping[str, str | int],
    points: Sequence[Point],
    tags: Mapping[str, str],
) -> str | None:
    """Writes one finished run and returns its id, or warns and returns ``None``.

    Args:
        experiment: Name; made when it does not exist. ``cloister`` when left out.
        params: Parameters of the mechanism.
        points: Metrics.
        tags: What paid for it.
    """
    try:
        with _quiet():
            return _write(experiment or DEFAULT_EXPERIMENT, params, points, tags)
    except Exception as error:  # noqa: BLE001 - whatever MLflow or a database raises, the model is there
        warnings.warn(
            f"The training succeeded and is charged, but MLflow could not record it"
            f" ({type(error).__name__}). Check MLFLOW_TRACKING_URI and that it can be reached.",
            TrackingWarning,
            stacklevel=3,
        )
        return None


def autologging_disabled() -> AbstractContextManager[Any]:
    """Returns a context in which MLflow logs nothing by itself; it would log samples of data."""
    if "mlflow" not in sys.modules:
        return nullcontext()
    from mlflow.utils.autologging_utils import disable_autologging

    context: AbstractContextManager[Any] = disable_autologging()
    return context


def _write(
    experiment: str,
    params: Mapping[str, str | int],
    points: Sequence[Point],
    tags: Mapping[str, str],
) -> str:
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.tracking import MlflowClient

    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd() / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=uri)
    known = client.get_experiment_by_name(experiment)
    identity = client.create_experiment(experiment) if known is None else known.experiment_id
    run = client.create_run(identity, run_name=tags.get("cloister.dataset"))
    run_id = str(run.info.run_id)
    now_ms = int(time.time() * 1000)
    client.log_batch(
        run_id,
        metrics=[Metric(p.metric, p.value, now_ms, p.step) for p in points],
        params=[Param(name, str(value)) for name, value in params.items()],
        tags=[RunTag(name, value) for name, value in tags.items()],
    )
    client.set_terminated(run_id)
    return run_id


@contextmanager
def _quiet() -> Iterator[None]:
    missing = {name: value for name, value in _ENVIRONMENT.items() if name not in os.environ}
    os.environ.update(missing)
    loggers = [logging.getLogger(name) for name in _LOUD_LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        for name in missing:
            del os.environ[name]
