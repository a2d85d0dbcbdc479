"""What a training run has seen."""

import importlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Epoch:
    """One pass over the samples, as `on_epoch` is told of it.

    Attributes:
        number: 1 for the first.
        epochs: how many there are to be at most.
        samples: rows seen in this pass.
        train_loss: weighted mean loss of the rows, each before its own step.
        validation_loss: weighted mean loss of the validation rows after this pass; None without them.
        is_best: whether the watched loss (validation, or training without it) is the lowest so far.
    """

    number: int
    epochs: int
    samples: int
    train_loss: float
    validation_loss: float | None
    is_best: bool


@dataclass(frozen=True)
class History:
    """The losses of a training run.

    Attributes:
        train_loss: of each epoch, the weighted mean loss of its rows, each before its own step. Penalties (L1, L2)
            are not part of it.
        validation_loss: of each epoch, the weighted mean loss of the validation rows after it; () without them.
        best_epoch: the number (1 for the first) of the epoch with the lowest validation loss, or training loss where
            there is no validation; 0 where every loss was NaN or infinite.
        stopped_early: whether `patience` ended the run before its last epoch.
    """

    train_loss: tuple[float, ...]
    validation_loss: tuple[float, ...] = ()
    best_epoch: int = 0
    stopped_early: bool = False

    def plot(self, path: str | Path) -> None:
        """Draw the learning curves into a file; its suffix (.png, .svg, .pdf) says the format.

        Raises:
            ImportError: matplotlib is not installed.
        """
        try:
            figure = importlib.import_module("matplotlib.figure").Figure(figsize=(7, 4), layout="constrained")
        except ImportError as error:
            raise ImportError(
                "History.plot needs matplotlib: pip install matplotlib; the numbers are in History.train_loss"
            ) from error
        axes = figure.subplots()
        numbers = range(1, len(self.train_loss) + 1)
        marker = "o" if len(self.train_loss) == 1 else ""
        axes.plot(numbers, self.train_loss, label="training", marker=marker)
        if self.validation_loss:
            axes.plot(numbers, self.validation_loss, label="validation", marker=marker)
        if self.best_epoch:
            axes.axvline(self.best_epoch, color="grey", linestyle=":", label=f"best: epoch {self.best_epoch}")
        axes.set(xlabel="epoch", ylabel="mean loss")
        axes.legend()
        figure.savefig(path)
