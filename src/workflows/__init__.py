"""What the commands do: detect, classify, sort, demonstrate, pack."""
