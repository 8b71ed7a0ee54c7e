"""The runs of a study side by side: one unit per task and seed, each in its own copy of the repository.

`dvc repro` runs one stage after the other, holds a lock, and rewrites dvc.lock after each stage, which takes longer the
more stages there are. A unit has the stages of one task and one seed: the teachers, then their students. DVC runs these
stages alone in the unit's copy, which shares the repository's cache. One write joins the results of all units.
"""
