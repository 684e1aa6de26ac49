"""Building blocks that hold no state of the application: colours, layout, slider, plots, workers."""
