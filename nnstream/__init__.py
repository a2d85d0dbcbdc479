"""nnstream: neural networks that learn one sample at a time.

The library is pure: no Kafka, no environment, no clock, no threads. The streaming service is in `service`.
"""

__version__ = "0.1.0"
