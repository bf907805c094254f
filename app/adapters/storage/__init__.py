"""File storage behind one port."""
