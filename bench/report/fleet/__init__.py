"""The page of a store of runs, machine by machine."""
