"""`cbspec simulate`: command, options, deployment, timeline and process life cycle."""
