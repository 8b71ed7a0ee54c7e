"""Checks and benchmarks that need a GPU (`make gpu`). They need no network, git, DVC or pinned
versions. docs/speed-gpu.md lists the packages.

Each part is a process with its own time limit, and saves its result before the next part begins. Models have random
weights and texts have random words, so nothing has to be fetched.
"""
