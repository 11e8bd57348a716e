"""The proof that nothing stored was altered: digests of rows, chains of links, signed anchors. Pure, without I/O.

Every insert into the event store is covered by a link, each link holds the one before, and the last one is anchored
outside of the store at intervals. The rules are written down to the byte in deploy/clickhouse/INTEGRITY.md.
"""
