"""Artifacts of a finished run: pictures, what TensorBoard shows of it, and report.html."""
