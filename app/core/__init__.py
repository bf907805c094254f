"""What would survive unchanged if every AI feature were deleted."""
