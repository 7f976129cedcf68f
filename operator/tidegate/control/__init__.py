"""The loop: gather the world into a value, decide on it, apply the decision. It knows ports, and no cluster."""
