"""The only importers of client libraries; each implements a protocol of a stage."""
