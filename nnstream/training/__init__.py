"""Training on history: stochastic, mini-batch and batch gradient descent over arrays, files and iterators.

    rows.py      samples as arrays: what is checked, their weights, the order in which an epoch takes them
    loop.py      `fit` and `fit_stream`: the epochs, the validation loss, early stopping
    history.py   what a run has seen: the losses of its epochs, and their plot
    files.py     CSV and Parquet as blocks for `fit_stream`

The same compiled step learns here as on a stream; only the size of the mini-batch and the order are chosen here.
"""

from nnstream.training.files import CSVBlocks, ParquetBlocks
from nnstream.training.history import Epoch, History
from nnstream.training.loop import fit, fit_stream

__all__ = ["CSVBlocks", "Epoch", "History", "ParquetBlocks", "fit", "fit_stream"]
