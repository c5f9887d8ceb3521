"""What a model server sees: SavedModels, their signatures and versions."""
