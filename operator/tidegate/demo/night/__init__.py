"""The night: trading at midnight and data processing after one o'clock share forty machines."""
