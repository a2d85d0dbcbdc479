"""nnstream."""
