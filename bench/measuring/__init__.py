"""Plans, takes turns, saves. Nothing is judged here."""
