"""Compiled arithmetic: NumPy arrays in, NumPy arrays out. The only package that imports numba.

Nothing here knows about features, Kafka or objects. Each kernel has a plain NumPy reference in the
tests, and the two agree.
"""
