"""A model as one ONNX graph: an input a feature, and what `Model.predict` gives.

    number      double (n, 1), NaN is missing
    category    string (n, 1), `MISSING` is missing; the empty text is a category like any other
    vector      double (n, size), NaN is missing

    prediction              the class (int64, bool or string, (n,)), or the number (double (n,))
    probabilities           float (n, classes), in the order of `classes`
    classes                 those, of the type of the predictions
    interval                double (n, 2), of a number; with a calibration
    prediction_set          bool (n, classes), which are in the set; with a calibration

The graph is the model as it is now: nothing in it learns, and the labels before an event stay those of now.
"""

import hashlib
import json
from importlib.metadata import version
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from nnstream.conformal import Conformal
from nnstream.ensemble import Ensemble
from nnstream.errors import SpecError
from nnstream.labels import Label
from nnstream.learners import SingleNetwork
from nnstream.model import Model
from nnstream.onnx_export.categories import one_hot
from nnstream.onnx_export.feed import MISSING
from nnstream.onnx_export.graph import ML, Graph
from nnstream.onnx_export.members import lags_now, scores
from nnstream.onnx_export.mixing import mixed
from nnstream.onnx_export.numbers import Numbers, soft_bins, standardised
from nnstream.onnx_networks import IR_VERSION, OPSET, network_nodes
from nnstream.responses import predictor
from nnstream.schema import Feature, category_text
from nnstream.snapshot import describe_spec

_ML_VERSION = 3
_LARGEST_INT64 = 2**63 - 1
_KINDS = ("number", "vector", "category", "hashed")


def export(model: Model, conformal: Conformal | None = None) -> bytes:
    """Return an ONNX model of `model.predict` as it is now; see the module for its inputs and outputs.

    Args:
        model: not changed.
        conformal: calibrated on its predictions; None gives no intervals or sets.

    Raises:
        SpecError: the model has learned nothing, or has a feature that no graph can take, or the calibration has seen
            too few labels; the message says what.
    """
    _check(model)
    names = {input_name(feature) for feature in model.encoder.features.values()}
    prefix = "nnstream/"
    while any(name.startswith(prefix) for name in names):
        prefix += "_"
    graph = Graph(prefix)
    columns, numbers = _encoded(graph, model)
    outputs = _predictions(graph, model, _learned(graph, model, columns, numbers), names)
    if conformal is not None:
        outputs.append(_region(graph, conformal, outputs, names))
    body = helper.make_graph(
        graph.nodes, "nnstream", [_input(each) for each in model.encoder.features.values()], outputs, graph.constants
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(ML, _ML_VERSION)]
    stored = helper.make_model(
        body, producer_name="nnstream", producer_version=version("nnstream"), opset_imports=opsets,
        ir_version=IR_VERSION,
    )  # fmt: skip
    helper.set_model_props(stored, _properties(model, conformal))
    onnx.checker.check_model(stored, full_check=True)
    return bytes(stored.SerializeToString())


def _check(model: Model) -> None:
    if model.encoder.width == 0:
        raise SpecError("the model has met no feature, so there is nothing to export; let it learn first")
    if not model.is_regression and not model.classes.known:
        raise SpecError("the model has met no class, so there is nothing to export; let it learn first")
    names: set[str] = set()
    for feature in model.encoder.features.values():
        name = input_name(feature)
        if not name:
            raise SpecError("a feature has the empty name, which no input of an ONNX graph can have; rename it")
        if name in names:
            raise SpecError(f"two features are called {name!r}, one as a text and one not; rename one of them")
        names.add(name)
        if feature.spec.kind not in _KINDS:
            raise SpecError(f"features.{name}: the kind {feature.spec.kind} cannot leave as ONNX")
        if MISSING in feature.columns:
            raise SpecError(
                f"features.{name}: U+FFFF is a category here, but stands for a missing value in the graph"
            )


def input_name(feature: Feature) -> str:
    """Return the name of a feature's input: its own as a text, for in the library it may be a number."""
    return str(feature.name)


def _input(feature: Feature) -> onnx.ValueInfoProto:
    kind = TensorProto.STRING if feature.spec.kind in ("category", "hashed") else TensorProto.DOUBLE
    return helper.make_tensor_value_info(input_name(feature), kind, ["n", max(feature.spec.size, 1)])


def _encoded(graph: Graph, model: Model) -> tuple[str, Numbers | None]:
    """Add the encoded row, float (n, columns), and the numbers it was made of."""
    features = list(model.encoder.features.values())
    quantities = sorted((each for each in features if each.first_number >= 0), key=lambda each: each.first_number)
    categories = [each for each in features if each.spec.kind in ("category", "hashed")]
    parts, columns = one_hot(graph, categories, [input_name(each) for each in categories])
    numbers = None
    if quantities:
        raw = graph.add("Concat", *(input_name(each) for each in quantities), axis=1)
        numbers = standardised(graph, model.encoder, raw)
        parts, columns = [numbers.scaled, *parts], [*model.encoder.number_columns.tolist(), *columns]
    together = graph.add("Concat", *parts, axis=1)
    if columns == sorted(columns):
        return together, numbers
    return graph.add("Gather", together, graph.constant(np.argsort(columns), np.int64), axis=1), numbers


def _learned(graph: Graph, model: Model, columns: str, numbers: Numbers | None) -> str:
    """Add what the learner says, float (n, outputs)."""
    learner = predictor(model.learner)
    if isinstance(learner, SingleNetwork):
        name = graph.name()
        nodes, constants = network_nodes(learner.network, columns, name, f"{name}/")
        graph.nodes += nodes
        graph.constants += constants
        return name
    if not isinstance(learner, Ensemble):
        raise SpecError(f"a {type(learner).__name__} cannot leave as ONNX; a network and an ensemble can")
    bins, state = None, learner.state()
    if numbers is not None and len(state["basis.knot_counts"]):
        bins = soft_bins(graph, numbers, state["basis.knots"], state["basis.knot_counts"])
    said = scores(graph, learner, columns, bins, lags_now(learner, model.scale))
    return mixed(graph, learner, said, model.output_shape[0])


def _predictions(graph: Graph, model: Model, outputs: str, taken: set[str]) -> list[onnx.ValueInfoProto]:
    """Add the outputs of the graph, whose names are those of no feature."""
    prediction = _free("prediction", taken)
    if model.is_regression:
        exact = graph.cast(outputs, TensorProto.DOUBLE)
        distance = graph.add("Mul", exact, graph.constant(model.scale.spread, np.float64))
        value = graph.add("Add", distance, graph.constant(model.scale.centre, np.float64))
        graph.add("Reshape", value, graph.constant([-1], np.int64), to=prediction)
        return [helper.make_tensor_value_info(prediction, TensorProto.DOUBLE, ["n"])]
    classes = model.classes.known
    probabilities, names = _free("probabilities", taken), _free("classes", taken)
    graph.add("Identity", _probabilities(graph, outputs, model), to=probabilities)
    chosen = graph.add("ArgMax", probabilities, axis=1, keepdims=0)
    values, kind = _stored(graph, classes)
    graph.add("Gather", values, chosen, axis=0, to=prediction)
    graph.add("Identity", values, to=names)
    return [
        helper.make_tensor_value_info(prediction, kind, ["n"]),
        helper.make_tensor_value_info(probabilities, TensorProto.FLOAT, ["n", len(classes)]),
        helper.make_tensor_value_info(names, kind, [len(classes)]),
    ]


def _region(
    graph: Graph, conformal: Conformal, outputs: list[onnx.ValueInfoProto], taken: set[str]
) -> onnx.ValueInfoProto:
    """Add what `Conformal.regions` gives."""
    reach = conformal.reach
    if np.isnan(reach):
        raise SpecError(
            f"the calibration has seen too few labels for a confidence of {conformal.confidence}; export without it"
        )
    if conformal.regression:
        value = graph.add("Unsqueeze", outputs[0].name, graph.constant([1], np.int64))
        name = graph.add("Add", value, graph.constant([[-reach, reach]], np.float64), to=_free("interval", taken))
        return helper.make_tensor_value_info(name, TensorProto.DOUBLE, ["n", 2])
    strange = graph.add("Sub", graph.constant(1.0, np.float64), graph.cast(outputs[1].name, TensorProto.DOUBLE))
    name = _free("prediction_set", taken)
    graph.add("LessOrEqual", strange, graph.constant(reach, np.float64), to=name)
    return helper.make_tensor_value_info(name, TensorProto.BOOL, ["n", None])


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _probabilities(graph: Graph, outputs: str, model: Model) -> str:
    """Add what `Classes.probabilities` gives."""
    count, loss = len(model.classes.known), model.output_shape[1]
    by_score = loss in ("hinge", "perceptron", "multiclass_perceptron")
    if count == 1:
        return graph.add("Add", _zeros(graph, outputs), graph.constant(1.0, np.float32))
    if count == 2:  # noqa: PLR2004
        first = _zeros(graph, outputs) if by_score else graph.add("Sub", graph.constant(1.0, np.float32), outputs)
        outputs = graph.add("Concat", first, outputs, axis=1)
    if loss == "hinge":
        return graph.add("Softmax", outputs, axis=1)
    if not by_score:
        return outputs
    winner = graph.add("ArgMax", outputs, axis=1, keepdims=1)
    return graph.cast(graph.add("Equal", winner, graph.constant([list(range(count))], np.int64)), TensorProto.FLOAT)


def _zeros(graph: Graph, outputs: str) -> str:
    return graph.add("Mul", outputs, graph.constant(0.0, np.float32))


def _stored(graph: Graph, classes: list[Label]) -> tuple[str, int]:
    """Store the classes, as numbers or true / false where all are such; return the name and the type."""
    if all(isinstance(each, bool | np.bool_) for each in classes):
        return graph.constant(classes, np.bool_), TensorProto.BOOL
    if not any(isinstance(each, bool | np.bool_ | str) for each in classes) and all(
        -_LARGEST_INT64 <= int(each) <= _LARGEST_INT64 for each in classes
    ):
        return graph.constant([int(each) for each in classes], np.int64), TensorProto.INT64
    return graph.texts(_texts(classes)), TensorProto.STRING


def _texts(classes: list[Label]) -> list[str]:
    """Return a text for each class, as it would be as a category; as JSON where 1 and "1" are two classes."""
    texts = [category_text(each) for each in classes]
    return texts if len(set(texts)) == len(texts) else [json.dumps(each, ensure_ascii=False) for each in classes]


def _properties(model: Model, conformal: Conformal | None) -> dict[str, str]:
    """Return what the file says about itself."""
    spec = json.dumps(describe_spec(model.spec), sort_keys=True)
    kinds = {input_name(each): each.spec.kind for each in model.encoder.features.values()}
    confidence = {} if conformal is None else {"nnstream.confidence": str(conformal.confidence)}
    return confidence | {
        "nnstream.task": model.spec.task,
        "nnstream.learner": model.spec.learner,
        "nnstream.samples_learned": str(model.version),
        "nnstream.spec_sha256": hashlib.sha256(spec.encode()).hexdigest(),
        "nnstream.features": json.dumps(kinds, ensure_ascii=False),
        "nnstream.classes": json.dumps(model.classes.known, ensure_ascii=False, default=_plain),
        "nnstream.missing_category": MISSING,
    }


def _plain(label: Any) -> Any:
    return label.item()
