"""The changes of each variation: one module for each subject."""
