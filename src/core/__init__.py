"""One training run, in four rooms; beside them `metrics`, which training and the study share, and `deferred`, which
imports late.

| room | what lives there | what it may import |
|---|---|---|
| `method` | what the paper is about: CMI, centroids, losses, the objective | nothing of the others |
| `models` | pre-trained classifiers and tokenizers | `method`, for the type of a model's outputs |
| `speed` | what makes a run faster or smaller and changes no result but by rounding or the draw of dropout | `models` |
| `training` | from a prepared task to a finished run | all of them |
"""
