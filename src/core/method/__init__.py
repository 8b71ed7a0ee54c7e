"""What the paper is about: CMI, centroids, losses and the objective. No model, no file, no device lives here."""
