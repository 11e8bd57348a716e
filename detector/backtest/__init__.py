"""What another configuration would have made of history, held against the one that is in force."""
