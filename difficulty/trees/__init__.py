"""Decision trees as plain arrays: checked when they are read, walked in numpy, whatever library grew them."""
