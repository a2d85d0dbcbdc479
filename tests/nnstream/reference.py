"""A network in plain NumPy, one sample at a time: what the compiled step is checked against.

Written from the definitions in `nnstream.activations` and `nnstream.losses` and from the formulas in the
optimisers' docstrings, in any float dtype; nothing here is shared with the kernels.
"""

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from nnstream import activations, losses
from nnstream.schedules import Cosine, Exponential, InverseTime, Schedule, StepDecay
from nnstream.spec import NetworkSpec

Floats = npt.NDArray[Any]
_WORD = 2**64


def single(number: float) -> float:
    """A hyper-parameter as the kernels store it: rounded to float32."""
    return float(np.float32(number))


class ReferenceNetwork:
    """The same network as `Bank([spec])` with the given parameters; `weights` and `biases` are views of `params`."""

    def __init__(self, spec: NetworkSpec, params: Floats, dtype: Any = np.float64) -> None:
        self.spec = spec
        self.params = params.astype(dtype)
        self.activation = activations.Activation.of(spec.activation)
        self.loss_kind = losses.Loss.of(spec.loss)
        self.weights, self.biases = views(spec, self.params)
        self.is_weight = np.zeros(len(self.params), np.bool_)
        for weights in views(spec, self.is_weight)[0]:
            weights[:] = True
        self.move = getattr(Moves(spec, self.params, self.is_weight), type(spec.optimizer).__name__.lower())
        self.gathered: list[Floats] = []
        self.samples = self.steps = 0

    def forward(self, x: Floats, mask: Floats | None = None) -> tuple[list[Floats], list[Floats]]:
        """Pre-activations of every layer, and what went into every layer."""
        inputs, scores = [np.asarray(x, self.params.dtype)], []
        start = 0
        for k, (weights, biases) in enumerate(zip(self.weights, self.biases, strict=True)):
            z = inputs[-1] @ weights + biases
            scores.append(z)
            if k < len(self.spec.hidden):
                a = activations.activate(self.activation, z)
                if mask is not None:
                    a = a * mask[start : start + len(a)]
                start += len(a)
                inputs.append(a)
        return scores, inputs

    def predict(self, x: Floats) -> Floats:
        return losses.link(self.loss_kind, self.forward(x)[0][-1])

    def loss(self, x: Floats, y: Floats) -> float:
        return losses.value(self.loss_kind, self.forward(x)[0][-1], y, self.spec.loss_shape)

    def gradient(self, x: Floats, y: Floats, mask: Floats | None = None) -> Floats:
        """The derivative of the loss by each parameter: the chain rule, from the last layer to the first."""
        scores, inputs = self.forward(x, mask)
        out = np.zeros_like(self.params)
        weight_gradients, bias_gradients = views(self.spec, out)
        delta = losses.gradient(self.loss_kind, scores[-1], np.asarray(y, out.dtype), self.spec.loss_shape)
        stop = sum(self.spec.hidden)
        for k in range(len(self.weights) - 1, -1, -1):
            weight_gradients[k][:] = np.outer(inputs[k], delta)
            bias_gradients[k][:] = delta
            if k > 0:
                delta = (self.weights[k] @ delta) * activations.derivative(self.activation, scores[k - 1])
                if mask is not None:
                    delta = delta * mask[stop - len(delta) : stop]
                stop -= len(delta)
        return out

    def predict_then_learn(self, x: Floats, y: Floats, weight: float = 1.0) -> tuple[Floats, float]:
        prediction, loss = self.predict(x), self.loss(x, y)
        mask = None
        if self.spec.regularization.dropout > 0:
            mask = dropout_mask(self.spec, self.samples)
        self.gathered.append(weight * self.gradient(x, y, mask))
        self.samples += 1
        if len(self.gathered) == self.spec.batch_size:
            self.step(np.mean(self.gathered, axis=0))
            self.gathered.clear()
        return prediction, loss

    def step(self, g: Floats) -> None:
        reg = self.spec.regularization
        if reg.clip_value:
            g = np.clip(g, -reg.clip_value, reg.clip_value)
        if reg.clip_norm:
            g = g * min(1.0, reg.clip_norm / max(float(np.linalg.norm(g)), 1e-300))
        if type(self.spec.optimizer).__name__ != "FTRLProximal":
            g = g + self.is_weight * (reg.l1 * np.sign(self.params) + reg.l2 * self.params)
        numbers = self.spec.optimizer.numbers()
        rate = numbers.learning_rate * schedule_factor(self.spec.schedule, self.steps)
        self.params -= self.is_weight * rate * numbers.weight_decay * self.params
        self.move(g, rate)
        if reg.max_norm:
            for weights in self.weights:
                norms = np.linalg.norm(weights, axis=0)
                weights[:, norms > reg.max_norm] *= reg.max_norm / norms[norms > reg.max_norm]
        self.steps += 1


def views(spec: NetworkSpec, flat: Floats) -> tuple[list[Floats], list[Floats]]:
    """Weights (fan_in, fan_out) and biases of each layer, as views of one flat array."""
    weights, biases = [], []
    start = 0
    for fan_in, fan_out in pairwise(spec.sizes):
        weights.append(flat[start : start + fan_in * fan_out].reshape(fan_in, fan_out))
        start += fan_in * fan_out
        biases.append(flat[start : start + fan_out])
        start += fan_out
    return weights, biases


def schedule_factor(schedule: Schedule, t: int) -> float:
    match schedule:
        case StepDecay(factor=factor, every=every):
            out = factor ** (t // every)
        case InverseTime(decay=decay):
            out = 1 / (1 + decay * t)
        case Exponential(decay=decay):
            out = float(np.exp(-decay * t))
        case Cosine(period=period, floor=floor):
            out = floor + (1 - floor) * (1 + float(np.cos(np.pi * min(t / period, 1)))) / 2
        case _:
            out = 1.0
    return out * (t + 1) / schedule.warmup if t < schedule.warmup else out


def random_word(seed: int, step: int, index: int) -> int:
    """SplitMix64's finaliser over a hash of three numbers, in Python's own integers."""
    z = (seed + step * 0x9E3779B97F4A7C15) % _WORD
    z ^= index * 0xD1B54A32D192ED03 % _WORD
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % _WORD
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % _WORD
    return z ^ (z >> 31)


def dropout_mask(spec: NetworkSpec, sample: int) -> Floats:
    rate = single(spec.regularization.dropout)
    uniform = [(random_word(spec.seed, sample, j) >> 40) / 2**24 for j in range(sum(spec.hidden))]
    return np.where(np.array(uniform) < rate, 0.0, 1 / (1 - rate))


class Moves:
    """Each optimiser's published rule; `w` is moved in place. One method an algorithm, chosen by the class's name."""

    def __init__(self, spec: NetworkSpec, w: Floats, is_weight: npt.NDArray[np.bool_]) -> None:
        numbers = spec.optimizer.numbers()
        self.w, self.start = w, w.copy()
        self.b1, self.b2, self.eps = single(numbers.beta1), single(numbers.beta2), single(numbers.epsilon)
        self.m, self.v, self.top, self.scale, self.total, self.reward, self.theta = np.zeros((7, len(w)), w.dtype)
        self.dual = -w * numbers.beta1 / numbers.learning_rate if numbers.learning_rate else w
        self.l1, self.l2 = spec.regularization.l1 * is_weight, spec.regularization.l2 * is_weight
        self.t = 0

    def sgd(self, g: Floats, rate: float) -> None:
        self.w -= rate * g

    def momentum(self, g: Floats, rate: float) -> None:
        self.v = self.b1 * self.v + g
        self.w -= rate * self.v

    def nesterov(self, g: Floats, rate: float) -> None:
        self.v = self.b1 * self.v + g
        self.w -= rate * (g + self.b1 * self.v)

    def adagrad(self, g: Floats, rate: float) -> None:
        self.v = self.v + g**2
        self.w -= rate * g / (np.sqrt(self.v) + self.eps)

    def rmsprop(self, g: Floats, rate: float) -> None:
        self.v = self.b2 * self.v + (1 - self.b2) * g**2
        self.w -= rate * g / (np.sqrt(self.v) + self.eps)

    def _moments(self, g: Floats) -> None:
        self.t += 1
        self.m = self.b1 * self.m + (1 - self.b1) * g
        self.v = self.b2 * self.v + (1 - self.b2) * g**2
        self.top = np.maximum(self.top, self.v)

    def adam(self, g: Floats, rate: float) -> None:
        self._moments(g)
        root = np.sqrt(self.v / (1 - self.b2**self.t))
        self.w -= rate * self.m / (1 - self.b1**self.t) / (root + self.eps)

    adamw = adam  # the decay is the network's, beside the step

    def amsgrad(self, g: Floats, rate: float) -> None:
        self._moments(g)
        root = np.sqrt(self.top / (1 - self.b2**self.t))
        self.w -= rate * self.m / (1 - self.b1**self.t) / (root + self.eps)

    def nadam(self, g: Floats, rate: float) -> None:
        self._moments(g)
        ahead = self.b1 * self.m / (1 - self.b1 ** (self.t + 1)) + (1 - self.b1) * g / (1 - self.b1**self.t)
        self.w -= rate * ahead / (np.sqrt(self.v / (1 - self.b2**self.t)) + self.eps)

    def ftrlproximal(self, g: Floats, rate: float) -> None:
        sigma = (np.sqrt(self.v + g**2) - np.sqrt(self.v)) / rate
        self.dual += g - sigma * self.w
        self.v = self.v + g**2
        closed = -(self.dual - np.sign(self.dual) * self.l1) / ((self.b1 + np.sqrt(self.v)) / rate + self.l2)
        self.w[:] = np.where(np.abs(self.dual) <= self.l1, 0.0, closed)

    def cocob(self, g: Floats, _rate: float) -> None:
        self.scale = np.maximum(self.scale, np.abs(g))
        self.total = self.total + np.abs(g)
        self.reward = np.maximum(self.reward - (self.w - self.start) * g, 0)
        self.theta = self.theta - g
        at = self.scale > 0
        scale = self.scale[at]
        beta = self.theta[at] / (scale * np.maximum(self.total[at] + scale, 100 * scale))
        self.w[at] = self.start[at] + beta * (scale + self.reward[at])
