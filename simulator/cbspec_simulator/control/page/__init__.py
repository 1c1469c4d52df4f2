"""The web page of the controls: plain files without a build step, which load nothing from other hosts."""
