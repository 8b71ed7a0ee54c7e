"""One training run, in rooms.

Three modules stand beside the rooms: `metrics`, which training and the study share, `training_code`, the hash of the
code that trains, and `deferred`, which imports a library late.

| room | contents | imports |
|---|---|---|
| `method` | CMI, centroids, losses, the objective | no other room |
| `models` | pre-trained classifiers and tokenizers | `method`, for the type of a model's outputs |
| `speed` | faster or smaller runs; results differ only by rounding and by the draw of dropout | `models` |
| `machine` | device, threads, random numbers | `speed` |
| `monitoring` | curves while a run trains | no other room |
| `training` | from a prepared task to a finished run | all of these |
| `distillation` | a teacher's logits for its students | all of these |
"""
