"""The process: kopf, watches, leadership, status, probes, and the wiring of all rooms below."""
