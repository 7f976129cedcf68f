"""The API of tidegate.dev/v1alpha1: models, parsing with field paths, conditions, CRDs. Knows only planning and
ports.
"""
