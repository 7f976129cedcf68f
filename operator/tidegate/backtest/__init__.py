"""How Tidegate and its rivals would have done on past demand: the same control loop on a simulated clock."""
