"""Cases that judge a relay. Folder and file name the place in the specification."""
