"""The event store: ClickHouse, on a server or embedded in this process, through the same client.

Tables come from the numbered files of `migrations`. Read their views (`events`, `findings`, `alerts`, `exposures`,
`operator_actions`, `config_versions`, …): they never show a row twice, while the `*_data` tables beneath them may hold
a repeated write until the engine merges it away.
"""
