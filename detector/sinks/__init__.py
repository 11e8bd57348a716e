"""Where events, findings, alerts and rejects go: one file a sink, and one runner around them all."""
