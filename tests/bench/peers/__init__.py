"""Others at comparable work, each as its own documentation suggests: run in an environment of their own."""
