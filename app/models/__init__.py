"""Tables, one aggregate a file."""
