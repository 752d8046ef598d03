"""The process that is timed: started, spoken to, held to the same results and conditions."""
