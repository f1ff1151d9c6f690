"""Results of other projects: their rendered videos and the tables of their papers."""
