"""The page for people at `/`: its files, and how they are served."""
