"""What is made of a finished run: figures, pictures, what TensorBoard shows of it, and report.html."""
