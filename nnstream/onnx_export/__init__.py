"""A whole model as one ONNX graph: features in, predictions out. Needs the extra `nnstream[onnx]`.

`model.py` puts the graph together; `numbers.py`, `categories.py` and `text_hash.py` are the encoder, `members.py` and
`mixing.py` the ensemble, `graph.py` what all of them write into. `feed.py` turns feature dicts into its inputs. Why
text is hashed inside the graph: docs/adr/0010-the-hash-leaves-with-the-graph.md.
"""

from nnstream.onnx_export.feed import MISSING, feed
from nnstream.onnx_export.model import export

__all__ = ["MISSING", "export", "feed"]
