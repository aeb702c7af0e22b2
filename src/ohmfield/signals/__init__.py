"""What is shown: signals as points, and how a prediction is scored."""
