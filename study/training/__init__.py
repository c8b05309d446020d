"""Training: the data, one LeNet, and many LeNets side by side. Returns records; logs nothing."""
