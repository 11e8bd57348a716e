"""A seeded company of agents, people and services, and the incidents that happen in it.

`world` says who there is and what there is; `background` what they do on normal days, out of the `habits`;
`scenarios` what goes wrong. Everything is drawn from named streams of one seed: the same seed gives the same
events, and an agent that is added leaves the others' events alone.
"""
