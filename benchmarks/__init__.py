"""What the gateway costs, measured from outside: `python -m benchmarks LANE`."""
