"""The runs of a study side by side: units of what hangs together, each in a copy of the repository with DVC in it.

`dvc repro` runs one stage after the other, holds a lock, and writes dvc.lock anew after each stage, at a cost that
grows with their number. A unit is a task and a seed: its teachers, then their students. Its copy has a pipeline of
these stages alone, and DVC's cache in common with the repository. What units leave is joined in one write.
"""
