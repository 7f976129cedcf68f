"""The backtest: demand, cluster physics, the peers' rules, a clairvoyant plan and the score."""
