"""How a trained network leaves: the SavedModels of every run, and the export command for all other formats."""
