"""River estimators: networks with `learn_one`, `predict_one`, `predict_proba_one`, `learn_many`, `predict_many`.

They standardise numbers, take categories (texts) and missing values as they come, and grow with new features and
new classes; no scaler or encoder is needed before them, though none does harm.
"""

from nnstream.estimators.mlp import MLPClassifier, MLPRegressor
from nnstream.estimators.neurons import LogisticNeuron, Perceptron
from nnstream.estimators.online import OnlineClassifier, OnlineRegressor

__all__ = ["LogisticNeuron", "MLPClassifier", "MLPRegressor", "OnlineClassifier", "OnlineRegressor", "Perceptron"]
