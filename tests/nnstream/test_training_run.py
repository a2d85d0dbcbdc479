"""A run of training: validation, early stopping, weights, refusals, files, the learning curve, one neuron."""

import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from nnstream.errors import LabelError, SpecError
from nnstream.network import Network
from nnstream.neurons import LogisticNeuron, Perceptron
from nnstream.optimizers import SGD, Adam, FTRLProximal
from nnstream.spec import NetworkSpec
from nnstream.training import CSVBlocks, Epoch, History, ParquetBlocks, fit, fit_stream


def regression():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(403, 3)).astype(np.float32)  # 403: the last mini-batch of an epoch is never full
    y = (X @ [1.5, -2.0, 0.5] + 0.7 + 0.3 * rng.normal(size=403)).astype(np.float32)
    return X, y


# ---- validation and early stopping


def noise():
    """Few rows, many weights, labels that are half noise: it will learn them by heart."""
    rng = np.random.default_rng(8)
    X = rng.normal(size=(120, 10)).astype(np.float32)
    y = (X[:, 0] + 1.5 * rng.normal(size=120) > 0).astype(np.float32)
    return X, y, NetworkSpec(10, hidden=(64,), optimizer=Adam(0.01), seed=1)


@pytest.mark.parametrize("optimizer", [Adam(0.01), FTRLProximal(0.5)])  # FTRL keeps the weights in its state
def test_early_stopping_stops_and_puts_the_best_back(optimizer):
    X, y, spec = noise()
    spec = replace(spec, optimizer=optimizer)
    held_out = (X[80:], y[80:])
    network = Network(spec)
    view = network.layers()[0][0]
    history = fit(network, X[:80], y[:80], epochs=500, validation=held_out, patience=5)
    assert history.stopped_early
    assert len(history.train_loss) == len(history.validation_loss) == history.best_epoch + 5 < 500
    assert history.best_epoch == 1 + int(np.argmin(history.validation_loss))
    assert history.validation_loss[-1] > min(history.validation_loss)
    assert network.losses(*held_out).mean() == pytest.approx(min(history.validation_loss), rel=1e-6)
    assert np.shares_memory(view, network.params)
    again = Network(spec)  # the state, the optimiser's included, is that after the best epoch
    fit(again, X[:80], y[:80], epochs=history.best_epoch)
    for name, array in network.state().items():
        if name != "grad":
            assert np.array_equal(array, again.state()[name]), name


def test_without_patience_it_goes_on_to_the_end():
    X, y, spec = noise()
    history = fit(Network(spec), X, y, epochs=60, validation=0.3)
    assert len(history.validation_loss) == 60
    assert not history.stopped_early
    assert history.best_epoch < 60


def test_validation_rows_are_never_learned():
    X, y = regression()
    spec = NetworkSpec(3, hidden=(), loss="squared")
    one, other = Network(spec), Network(spec)
    fit(one, X, y, validation=0.25, shuffle_seed=None, epochs=2)
    assert one.samples_learned == 2 * (403 - 101)
    fit(other, X[:302], y[:302], shuffle_seed=None, epochs=2)  # without a seed: the last rows
    assert np.array_equal(one.params, other.params)


def test_patience_needs_something_to_watch():
    X, y = regression()
    with pytest.raises(SpecError, match="validation"):
        fit(Network(NetworkSpec(3, loss="squared")), X, y, patience=3)


def test_a_run_that_diverges_says_so():
    X, y = regression()
    network = Network(NetworkSpec(3, hidden=(), loss="squared", optimizer=SGD(1e6)))
    history = fit(network, X, y * 1e20, epochs=3, batch_size=1)
    assert not np.isfinite(history.train_loss).any()
    assert history.best_epoch == 0


def test_on_epoch_sees_every_epoch():
    X, y = regression()
    seen: list[Epoch] = []
    history = fit(Network(NetworkSpec(3, loss="squared")), X, y, epochs=3, validation=0.2, on_epoch=seen.append)
    assert [epoch.number for epoch in seen] == [1, 2, 3]
    assert {epoch.epochs for epoch in seen} == {3}
    assert {epoch.samples for epoch in seen} == {403 - 81}
    assert tuple(epoch.train_loss for epoch in seen) == history.train_loss
    assert tuple(epoch.validation_loss for epoch in seen) == history.validation_loss
    assert max(epoch.number for epoch in seen if epoch.is_best) == history.best_epoch


# ---- weights


def imbalanced():
    rng = np.random.default_rng(2)
    y = (rng.random(3000) < 0.08).astype(np.float32)
    X = (rng.normal(size=(3000, 2)) + 1.2 * y[:, None]).astype(np.float32)
    return X, y


def recall(network, X, y):
    outputs = network.predict(X)
    predicted = outputs.argmax(axis=1) if outputs.shape[1] > 1 else outputs[:, 0] > 0.5
    return predicted[y == 1].mean()


@pytest.mark.parametrize("outputs", [1, 2])
def test_class_weights_shift_recall(outputs):
    X, y = imbalanced()
    spec = NetworkSpec(2, outputs, hidden=(), loss="log" if outputs == 1 else "cross_entropy")
    recalls = []
    for class_weight in ({1: 0.2}, None, "balanced"):
        network = Network(spec)
        fit(network, X, y, epochs=10, class_weight=class_weight)
        recalls.append(recall(network, X, y))
    assert recalls[0] < 0.1
    assert 0.1 < recalls[1] < 0.4
    assert recalls[2] > 0.75


def test_a_class_weight_is_a_sample_weight_and_a_stream_knows_both():
    X, y = imbalanced()
    spec = NetworkSpec(2, hidden=())
    by_class, by_sample, streamed = Network(spec), Network(spec), Network(spec)
    fit(by_class, X, y, class_weight={0: 0.5, 1: 4.0}, epochs=1, shuffle_seed=None)
    fit(by_sample, X, y, sample_weight=np.where(y == 1, 4.0, 0.5), epochs=1, shuffle_seed=None)
    fit_stream(streamed, [(X, y, np.full(3000, 0.5))], class_weight={1: 8.0})
    assert np.array_equal(by_class.params, by_sample.params)
    assert np.array_equal(by_class.params, streamed.params)


def test_rows_of_weight_zero_teach_nothing_and_are_not_in_the_loss():
    X, y = regression()
    spec = NetworkSpec(3, hidden=(), loss="squared", optimizer=SGD(0.01))
    weight = np.ones(403)
    weight[200:] = 0
    one, other = Network(spec), Network(spec)
    with_zeros = fit(one, X, np.where(weight > 0, y, 99), batch_size=1, sample_weight=weight, shuffle_seed=None)
    without = fit(other, X[:200], y[:200], batch_size=1, shuffle_seed=None)
    assert np.array_equal(one.params, other.params)
    assert with_zeros.train_loss == without.train_loss


# ---- what cannot be

CLASSIFIER, NUMBERS = NetworkSpec(3), NetworkSpec(3, loss="squared")
ZEROS = np.zeros((4, 3)), np.zeros(4)


@pytest.mark.parametrize(
    ("spec", "X", "y", "options", "message"),
    [
        (NUMBERS, np.zeros((4, 2)), ZEROS[1], {}, r"X must have the shape \(4, 3\)"),
        (NUMBERS, ZEROS[0], np.zeros(3), {}, r"y must have the shape \(4, 1\)"),
        (NUMBERS, np.full((4, 3), np.nan), ZEROS[1], {}, "4 of 4 rows hold NaN or infinity, the first is row 0"),
        (NUMBERS, ZEROS[0], [0, 1, np.inf, 0], {}, "y: 1 of 4 rows .* the first is row 2"),
        (NUMBERS, *ZEROS, {"sample_weight": [1, 1, 1]}, "weights must have the shape"),
        (NUMBERS, *ZEROS, {"sample_weight": [1, -1, 1, 1]}, "at least 0"),
        (NUMBERS, *ZEROS, {"class_weight": {0: 1.0}}, "needs classes"),
        (NUMBERS, *ZEROS, {"validation": 1.5}, "a share between 0 and 1"),
        (NUMBERS, *ZEROS, {"validation": 0.01}, "leaves rows on both sides"),
        (NUMBERS, *ZEROS, {"epochs": 0}, "epochs and patience must be at least 1"),
        (NUMBERS, *ZEROS, {"batch_size": 0}, "batch_size must be at least 1"),
        (NUMBERS, *ZEROS, {"shuffle_seed": -1}, "shuffle_seed"),
        (NUMBERS, np.zeros((0, 3)), np.zeros(0), {}, "no rows"),
        (CLASSIFIER, ZEROS[0], [0, 1, 2, 0], {}, r"from 0 to 1 .* not 2.0"),
        (CLASSIFIER, ZEROS[0], [0, 1, 0.5, 0], {}, r"from 0 to 1 .* not 0.5"),
        (NetworkSpec(3, 2), ZEROS[0], np.full((4, 2), -1), {}, r"from 0 to 1 .* not -1.0"),
        (NetworkSpec(3, 3, loss="hinge"), ZEROS[0], [0, 1, 3, 0], {}, r"from 0 to 2 .* not 3.0"),
        (CLASSIFIER, *ZEROS, {"class_weight": {2: 1.0}}, "classes from 0 to 1"),
        (CLASSIFIER, *ZEROS, {"class_weight": {1: float("nan")}}, "finite weights"),
        (CLASSIFIER, *ZEROS, {"class_weight": "equal"}, '"balanced"'),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_learned(spec, X, y, options, message):
    network = Network(spec)
    with pytest.raises((SpecError, LabelError), match=message):
        fit(network, X, y, **options)
    assert network.samples_learned == 0


def test_a_stream_cannot_be_balanced():
    with pytest.raises(SpecError, match="needs all rows beforehand"):
        fit_stream(Network(CLASSIFIER), [ZEROS], class_weight="balanced")


# ---- files


def test_csv_is_what_its_arrays_are(tmp_path):
    X, y = regression()
    path = tmp_path / "history.csv"
    lines = [f'{a!r},"{t!r}",{b!r},text,{c!r}' for (a, b, c), t in zip(X.tolist(), y.tolist(), strict=True)]
    path.write_text("\ufeffa,target,b,note,c\r\n" + "\r\n".join(lines) + "\r\n\r\n", encoding="utf-8")
    blocks = CSVBlocks(path, target="target", features=["a", "b", "c"], rows=100)
    assert [len(part) for part, _ in blocks] == [100, 100, 100, 100, 3]
    from_file, from_arrays = Network(NUMBERS), Network(NUMBERS)
    fit_stream(from_file, blocks, epochs=2, batch_size=8)
    fit(from_arrays, X, y, epochs=2, batch_size=8, shuffle_seed=None)
    assert np.array_equal(from_file.params, from_arrays.params)


def test_csv_with_class_names_and_several_targets(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text("a,b,kind\n1,2,cat\n3,4, dog\n")
    ((X, y),) = CSVBlocks(path, "kind", classes=["dog", "cat"])
    assert X.tolist() == [[1, 2], [3, 4]]
    assert y.tolist() == [1, 0]
    ((X, y),) = CSVBlocks(path, ["b", "a"], features=["a"])
    assert X.tolist() == [[1], [3]]
    assert y.tolist() == [[2, 1], [4, 3]]


@pytest.mark.parametrize(
    ("text", "options", "error", "message"),
    [
        ("a,b\n1,2\n", {"target": "c"}, SpecError, "has no column 'c'; it has: a, b"),
        ("a,b\n1,2\n", {"target": "b", "features": ["z"]}, SpecError, "has no column 'z'"),
        ("a,b\n1,2\n3,four\n", {"target": "b"}, SpecError, r"begins at line 2: .*four"),
        ("a,b\n1,2\n,4\n", {"target": "b"}, SpecError, "begins at line 2"),
        ("a,b\n1,2\n3\n", {"target": "b"}, SpecError, "begins at line 2"),
        ("a,b\n1,x\n3,y\n", {"target": "b", "classes": ["x"]}, LabelError, "'y' is none of the classes: x"),
        ("", {"target": "b"}, SpecError, "no column"),
    ],
)
def test_a_csv_that_cannot_be_read_says_where(tmp_path, text, options, error, message):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(error, match=message):
        list(CSVBlocks(path, **options))


def test_blocks_that_cannot_be():
    with pytest.raises(SpecError, match="rows must be at least 1"):
        CSVBlocks("x.csv", "y", rows=0)
    with pytest.raises(SpecError, match="one target"):
        CSVBlocks("x.csv", ["y", "z"], classes=["a"])


def test_parquet_without_pyarrow_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match="pip install pyarrow"):
        list(ParquetBlocks(tmp_path / "x.parquet", "y"))


def test_parquet_is_what_its_arrays_are(tmp_path):
    path = tmp_path / "x.parquet"
    table = pa.table({"a": [1.0, 2.0, 3.0], "kind": ["x", "y", "x"], "b": [4, 5, 6]})
    parquet.write_table(table, path)
    blocks = list(ParquetBlocks(path, "kind", classes=["x", "y"], rows=2))
    assert [X.tolist() for X, _ in blocks] == [[[1, 4], [2, 5]], [[3, 6]]]
    assert [y.tolist() for _, y in blocks] == [[0, 1], [0]]
    with pytest.raises(SpecError, match="column 'kind'"):
        list(ParquetBlocks(path, "a"))


# ---- the learning curve


def test_plot_writes_a_picture(tmp_path):
    History((0.5, 0.3, 0.2), (0.6, 0.4, 0.5), 2).plot(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    History((0.5,)).plot(tmp_path / "curve.svg")
    assert "<svg" in (tmp_path / "curve.svg").read_text()


def test_plot_without_matplotlib_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        History((0.5,)).plot(tmp_path / "curve.png")


# ---- one neuron

CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
GATES = {"and": [-1, -1, -1, 1], "or": [-1, 1, 1, 1], "nand": [1, 1, 1, -1], "nor": [1, -1, -1, -1]}


@pytest.mark.parametrize("gate", GATES)
def test_a_perceptron_follows_its_rule_and_learns_a_gate(gate):
    perceptron = Perceptron(2)
    w, b = np.zeros(2), 0.0
    for _ in range(20):
        for x, t in zip(CORNERS, GATES[gate], strict=True):
            if t * (w @ x + b) <= 0:
                w, b = w + t * x, b + t
            perceptron.learn_one(x, t)
            assert perceptron.weights.tolist() == w.tolist()
            assert perceptron.bias == b
    assert [perceptron.predict_one(x) for x in CORNERS] == GATES[gate]
    assert perceptron.predict_many(CORNERS).tolist() == GATES[gate]


def test_no_perceptron_learns_xor():
    perceptron = Perceptron(2)
    xor = [-1, 1, 1, -1]
    for _ in range(200):
        for x, t in zip(CORNERS, xor, strict=True):
            perceptron.learn_one(x, t)
        assert perceptron.predict_many(CORNERS).tolist() != xor


def test_a_perceptron_makes_no_more_mistakes_than_novikoff_allows():
    rng = np.random.default_rng(0)
    A = rng.normal(size=(5000, 4))
    separator = np.array([1.0, -2.0, 0.5, 1.0, 0.3])
    separator /= np.linalg.norm(separator)
    A = np.column_stack([A, np.ones(len(A))])
    A = A[np.abs(A @ separator) > 0.3].astype(np.float32)
    t = np.sign(A @ separator)
    bound = (np.linalg.norm(A, axis=1).max() / np.abs(A @ separator).min()) ** 2
    perceptron = Perceptron(4)
    mistakes = 0
    for _ in range(5):
        for x, label in zip(A[:, :4], t, strict=True):
            before = perceptron.weights.copy()
            perceptron.learn_one(x, int(label))
            mistakes += bool((before != perceptron.weights).any())
    assert 0 < mistakes <= bound
    assert np.array_equal(perceptron.predict_many(A[:, :4]), t)


def test_a_logistic_neuron_follows_its_gradient():
    X, numbers = regression()
    y = (numbers > 0.7).astype(int)
    neuron = LogisticNeuron(3, learning_rate=0.1, l2=0.01)
    w, b = np.zeros(3), 0.0
    for x, t in zip(X, y, strict=True):
        p = 1 / (1 + np.exp(-(w @ x + b)))
        assert neuron.probability_one(x) == pytest.approx(p, abs=1e-5)
        w, b = w - 0.1 * ((p - t) * x + 0.01 * w), b - 0.1 * (p - t)
        neuron.learn_one(x, int(t))
    assert neuron.weights == pytest.approx(w, abs=1e-4)
    assert float(neuron.bias) == pytest.approx(b, abs=1e-4)
    assert np.mean([neuron.predict_one(x) for x in X] == y) > 0.9
    assert neuron.predict_many(X) == pytest.approx([neuron.probability_one(x) for x in X])


@pytest.mark.parametrize(("neuron", "label"), [(Perceptron, 0), (Perceptron, 2), (LogisticNeuron, -1)])
def test_a_neuron_refuses_a_label_it_does_not_know(neuron, label):
    with pytest.raises(LabelError, match="label is"):
        neuron(2).learn_one([0, 1], label)


def test_weights_and_bias_are_views():
    neuron = LogisticNeuron(2)
    neuron.weights[:] = [1, 2]
    neuron.bias[...] = -1
    assert neuron.network.params.tolist() == [1, 2, -1]
    assert neuron.probability_one([1, 0]) == 0.5


def test_a_progress_bar_counts_epochs_and_shows_losses(capsys):
    rng = np.random.default_rng(8)
    X = rng.normal(size=(200, 2))
    told = []
    network = Network(NetworkSpec(2, hidden=(), loss="squared"))
    history = fit(network, X, X @ [1.0, 2.0], epochs=4, validation=0.2, on_epoch=told.append, progress=True)
    shown = capsys.readouterr().out
    assert "4/4" in shown
    assert f"loss {history.train_loss[-1]:.4g}, validation {history.validation_loss[-1]:.4g}" in shown
    assert [epoch.number for epoch in told] == [1, 2, 3, 4]
    quiet = Network(NetworkSpec(2, hidden=(), loss="squared"))
    assert fit(quiet, X, X @ [1.0, 2.0], epochs=4, validation=0.2) == history
    assert capsys.readouterr().out == ""
