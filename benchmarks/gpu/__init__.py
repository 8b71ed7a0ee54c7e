"""What only a GPU can show: `make gpu`. Runs on a bare machine too, without network, git, DVC or this project's pins.

Each part is a process with a time limit of its own, and its result is saved before the next part begins. Models have
random weights and texts are made of random words, so nothing has to be fetched.
"""
