"""The requirements and the revision of the specification that they belong to."""
