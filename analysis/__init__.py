"""Pure functions over records: summaries, prices and cost, statistics, replay, verdict."""
