"""The log order is the learning order: however a block is cut, and in whichever process, the bits are the same."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_step import SPECS, stream

from nnstream.bank import Bank
from nnstream.kernels import _jit

CUT = ["sgd", "dropout, relu, adam", "mini-batch 32, dropout", "mini-batch 8, adam", "cocob", "all at once", "linear"]
COUNT = 120
ROOT = Path(__file__).parents[2]


def run(specs, cuts):
    """Everything that a stream leaves behind when it comes in blocks that end at `cuts`."""
    X, Y = stream(specs[0], COUNT)
    rng = np.random.default_rng(3)
    has_label, weight = rng.random(COUNT) < 0.8, rng.uniform(0.5, 2, COUNT).astype(np.float32)
    bank = Bank(specs)
    outputs, losses = [], []
    for start, stop in zip([0, *cuts], [*cuts, COUNT], strict=True):
        out, lost = bank.predict_then_learn(X[start:stop], Y[start:stop], has_label[start:stop], weight[start:stop])
        outputs.append(out)
        losses.append(lost)
    return {"outputs": np.concatenate(outputs, axis=1), "losses": np.concatenate(losses, axis=1)} | bank.state()


def check_same(found, expected):
    for name, array in expected.items():
        assert found[name].tobytes() == array.tobytes(), name


@pytest.fixture(scope="module")
def whole():
    return {name: run([SPECS[name]], []) for name in CUT} | {"bank": run([SPECS[name] for name in CUT], [])}


@pytest.mark.parametrize("name", [*CUT, "bank"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, COUNT), max_size=12).map(sorted))
def test_a_block_may_be_cut_anywhere(whole, name, cuts):
    specs = [SPECS[each] for each in CUT] if name == "bank" else [SPECS[name]]
    check_same(run(specs, cuts), whole[name])


@pytest.mark.parametrize("name", [*CUT, "bank"])
def test_a_block_may_be_cut_into_single_rows(whole, name):
    specs = [SPECS[each] for each in CUT] if name == "bank" else [SPECS[name]]
    check_same(run(specs, list(range(1, COUNT))), whole[name])


@settings(max_examples=25, deadline=None)
@given(cut=st.integers(0, COUNT), name=st.sampled_from(CUT))
def test_a_restored_network_goes_on_with_the_same_bits(cut, name):
    spec = SPECS[name]
    X, Y = stream(spec, COUNT)
    flags = np.ones(COUNT, np.bool_)
    straight, begun, resumed = Bank([spec]), Bank([spec]), Bank([spec])
    straight.predict_then_learn(X, Y, flags)
    begun.predict_then_learn(X[:cut], Y[:cut], flags[:cut])
    resumed.restore(begun.state())
    begun.params[:] = np.nan  # the copy must be a copy
    resumed.predict_then_learn(X[cut:], Y[cut:], flags[cut:])
    check_same(resumed.state(), straight.state())


def test_predicting_changes_nothing():
    specs = [SPECS[name] for name in CUT]
    X, Y = stream(specs[0], COUNT)
    bank = Bank(specs)
    bank.predict_then_learn(X[:77], Y[:77], np.ones(77, np.bool_))
    before = {name: array.copy() for name, array in bank.state().items()}
    assert np.array_equal(bank.predict(X), bank.predict(X))
    check_same(bank.state(), before)


def digest():
    found = run([SPECS[name] for name in CUT], [50])
    return hashlib.sha256(b"".join(array.tobytes() for array in found.values())).hexdigest()


def test_every_process_gives_the_same_bits():
    """Two fresh processes, with other hash seeds and thread counts, and this one."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import test_blocks; print(test_blocks.digest())"
    command = [sys.executable, "-c", code, str(Path(__file__).parent)]
    found = [
        subprocess.run(
            command, cwd=ROOT, env={"PYTHONHASHSEED": seed, "OMP_NUM_THREADS": seed}, check=True, capture_output=True
        ).stdout.decode()
        for seed in ("1", "2")
    ]
    assert [line.strip() for line in found] == [digest()] * 2


PACKAGE = {
    "_jit.py": Path(_jit.__file__).read_text(encoding="utf-8"),
    "__init__.py": "",
    "helper.py": "from kernels._jit import jit\n@jit\ndef double(x):\n    return 2.0 * x\n",
    "user.py": "from kernels._jit import jit\nfrom kernels.helper import double\n@jit\n"
    "def use(x):\n    return double(x) + 1.0\n",
}
USE = "from kernels.user import use; print(use(3.0), sum(use.stats.cache_hits.values()))"


def test_an_edited_helper_makes_the_cache_of_its_users_stale(tmp_path):
    """Numba looks only at the file a function stands in; `user.py` never changes here."""
    package = tmp_path / "kernels"
    package.mkdir()
    for name, text in PACKAGE.items():
        (package / name).write_text(text, encoding="utf-8")

    def use():
        done = subprocess.run([sys.executable, "-c", USE], cwd=tmp_path, check=True, capture_output=True)
        return done.stdout.decode().split()

    assert use() == ["7.0", "0"]
    assert use() == ["7.0", "1"]  # from the disk
    (package / "helper.py").write_text(PACKAGE["helper.py"].replace("2.0 * x", "5.0 * x"), encoding="utf-8")
    assert use() == ["16.0", "0"]
    assert use() == ["16.0", "1"]


def test_the_second_process_does_not_compile():
    code = (
        "from nnstream.bank import Bank; from nnstream.spec import NetworkSpec\n"
        "from nnstream.kernels.step import predict_then_learn\n"
        "Bank([NetworkSpec(3)]).predict([[1.0, 2.0, 3.0]])\n"
        "print(len(predict_then_learn.signatures), sum(predict_then_learn.stats.cache_hits.values()))"
    )
    Bank([SPECS["sgd"]]).predict(np.zeros((1, 4)))  # this process has compiled it, or found it
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    assert done.stdout.split() == [b"1", b"1"]
