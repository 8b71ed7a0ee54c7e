"""The subject of the paper: CMI, centroids, losses and the objective. No models, files or devices."""
