"""The auditor's questions: each is one module of fixed SQL with bound parameters, and a function that answers it.

They read the store's views and nothing else; the same statements, to be run by hand, stand in
`deploy/clickhouse/QUERIES.sql`.
"""
