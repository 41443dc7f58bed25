"""Images: sources, readers, archives, augmentation, and the order in which samples are shown."""
