"""Chat models behind one port."""
