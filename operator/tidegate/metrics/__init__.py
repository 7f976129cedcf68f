"""Where signals are read: Prometheus, and recordings."""
