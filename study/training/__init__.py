"""Fashion-MNIST, LeNet, and the training of many trials side by side."""
