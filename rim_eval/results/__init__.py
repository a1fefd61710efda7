"""From observations to counts, and from counts to figures: the one aggregation behind everything that shows a figure."""
