"""From a reference to the value that it stands for, at the moment of use."""
