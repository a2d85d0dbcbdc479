"""The HTTP interface of a worker; its OpenAPI description is at /docs.

GET /           the live page, for people
GET /healthz    the loop is running
GET /readyz     partitions are assigned, replayed and caught up enough to serve
GET /metrics    for Prometheus; asked for OpenMetrics, with exemplars
GET /status     position, score and lag of each partition, as JSON
POST /predict   a prediction from consistent weights; nothing is learned
"""

import math
from typing import Annotated, Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client.exposition import choose_encoder
from pydantic import BaseModel, ConfigDict, Field

from nnstream import __version__
from nnstream.errors import FeatureError
from nnstream.outcome import best
from nnstream.schema import category_text
from service.events import Explanation, FeatureValue, Interval, ModelVersion
from service.reasons import as_record
from service.settings import HttpSettings
from service.task import Task
from service.web.live import Live
from service.web.page import add_page
from service.worker import Worker


class PredictRequest(BaseModel):
    """Features to predict from."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    features: dict[str, FeatureValue]
    partition: Annotated[
        int | None, Field(description="Whose model to ask; needed only where this worker owns several partitions.")
    ] = None
    explain: Annotated[bool, Field(description="Say also what the prediction owes to each feature.")] = False


class PredictResponse(BaseModel):
    """What the model says now."""

    prediction: Any
    probabilities: dict[str, float] | None = None
    interval: Interval | None = None
    prediction_set: list[Any] | None = None
    confidence: float | None = None
    explanation: Explanation | None = None
    model: ModelVersion
    partition: int


class Refusal(BaseModel):
    """Why a request could not be answered."""

    detail: str


def create_app(worker: Worker, settings: HttpSettings, live: Live | None = None) -> FastAPI:
    """Return the application that answers for `worker`; with a read model it has the live page too."""
    app = FastAPI(title="nnstream", version=__version__, description=__doc__)

    if live is not None:
        add_page(app, live)

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        """Name what is wrong; FastAPI's own answer repeats the value, and fails where that is NaN."""
        del request
        problems = [f"{'.'.join(map(str, each['loc'][1:]))}: {each['msg']}" for each in error.errors()]
        return JSONResponse(Refusal(detail="; ".join(problems)).model_dump(), status_code=422)

    @app.get("/healthz")
    def healthz(response: Response) -> dict[str, str]:
        response.status_code = 503 if worker.state == "stopped" else 200
        return {"state": worker.state}

    @app.get("/readyz")
    def readyz(response: Response) -> dict[str, Any]:
        waiting = not_ready(worker, settings.ready_lag)
        response.status_code = 503 if waiting else 200
        return {"ready": not waiting, "waiting_for": waiting}

    @app.get("/metrics", response_class=Response)
    def metrics(request: Request) -> Response:
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(worker.telemetry.registry), media_type=media_type)

    @app.get("/status")
    def status() -> dict[str, Any]:
        return {"state": worker.state, "partitions": [describe(task) for task in tasks_of(worker)]}

    @app.post("/predict", responses={409: {"model": Refusal}, 422: {"model": Refusal}, 503: {"model": Refusal}})
    def predict(request: PredictRequest, response: Response) -> PredictResponse | Refusal:
        tasks = tasks_of(worker)
        chosen = [t for t in tasks if request.partition in (None, t.partition.number)]
        if len(chosen) != 1:
            response.status_code, refusal = _no_single_model(tasks, request.partition)
            return refusal
        try:
            return _answer(chosen[0], request)
        except FeatureError as error:
            response.status_code = 422
            return Refusal(detail=str(error))

    return app


def tasks_of(worker: Worker) -> list[Task]:
    """Return the tasks by partition; the worker may change its own collection meanwhile."""
    return sorted(worker.tasks.copy().values(), key=lambda task: task.partition)


def not_ready(worker: Worker, ready_lag: int) -> list[str]:
    """Return what keeps the worker from being ready, in words; empty when nothing does."""
    if worker.state != "running" or not worker.joined:
        why = "" if worker.trouble is None else f": {worker.trouble}"
        return [f"the worker is {worker.state} and has no partitions yet{why}"]
    waiting = []
    for task in tasks_of(worker):
        if not task.caught_up:
            waiting.append(f"{task.partition} is being replayed, {task.live_from - task.offset} events to go")
        elif (task.lag or 0) > ready_lag:
            waiting.append(f"{task.partition} lies {task.lag} events behind, more than http.ready_lag of {ready_lag}")
    return waiting


def describe(task: Task) -> dict[str, Any]:
    """Return the state of a partition as JSON-ready data."""
    return {
        "topic": task.partition.topic,
        "partition": task.partition.number,
        "offset": task.offset,
        "lag": task.lag,
        "model_version": task.learner.model.version,
        "drifts": task.monitor.drifts,
        "dead_letters": task.dead_letters,
        "labels_pending": task.labels.pending[0],
        "score": _finite(task.monitor.score.summary()),
        "rolling": _finite(task.monitor.score.summary(rolling=True)),
    }


def _finite(value: Any) -> Any:
    """Replace NaN and infinity by null: JSON has no word for them."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _answer(task: Task, request: PredictRequest) -> PredictResponse:
    (features,) = task.embedding.rows([request.features])
    segment, version = task.learner.predict(features)
    probabilities = None
    if segment.classes:
        names = map(category_text, segment.classes)
        probabilities = dict(zip(names, segment.outputs[0].tolist(), strict=True))
    more = task.confidence.as_record(task.confidence.region(segment))
    if request.explain:
        more |= as_record(task.learner.explain(features, task.reasons.method))
    return PredictResponse(
        **more,
        prediction=best(segment)[0],
        probabilities=probabilities,
        model=ModelVersion(name=task.learner.name, version=version),
        partition=task.partition.number,
    )


def _no_single_model(tasks: list[Task], asked: int | None) -> tuple[int, Refusal]:
    owned = ", ".join(str(task.partition.number) for task in tasks)
    if not tasks:
        return 503, Refusal(detail="this worker has no partitions yet; ask again when /readyz says 200")
    if asked is None:
        return 409, Refusal(detail=f"each partition has a model of its own; add one of partition: {owned}")
    return 409, Refusal(detail=f"partition {asked} is not on this worker; it owns {owned}")
