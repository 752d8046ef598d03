"""Runs on disk: written, read strictly, limited, exported."""
