"""Use-cases, one file a noun, over the machinery packages."""
