"""The networks that --model names."""
