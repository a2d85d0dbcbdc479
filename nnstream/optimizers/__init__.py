"""Optimisers, one algorithm a file. `OPTIMIZERS` finds them by name, as configuration files do."""

from nnstream.optimizers._base import Optimizer
from nnstream.optimizers.adagrad import AdaGrad
from nnstream.optimizers.adam import Adam
from nnstream.optimizers.adamw import AdamW
from nnstream.optimizers.amsgrad import AMSGrad
from nnstream.optimizers.cocob import COCOB
from nnstream.optimizers.ftrl import FTRLProximal
from nnstream.optimizers.momentum import Momentum
from nnstream.optimizers.nadam import Nadam
from nnstream.optimizers.nesterov import Nesterov
from nnstream.optimizers.rmsprop import RMSProp
from nnstream.optimizers.sgd import SGD

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "adagrad": AdaGrad,
    "adam": Adam,
    "adamw": AdamW,
    "amsgrad": AMSGrad,
    "cocob": COCOB,
    "ftrl": FTRLProximal,
    "momentum": Momentum,
    "nadam": Nadam,
    "nesterov": Nesterov,
    "rmsprop": RMSProp,
    "sgd": SGD,
}

__all__ = [
    "COCOB",
    "OPTIMIZERS",
    "SGD",
    "AMSGrad",
    "AdaGrad",
    "Adam",
    "AdamW",
    "FTRLProximal",
    "Momentum",
    "Nadam",
    "Nesterov",
    "Optimizer",
    "RMSProp",
]
