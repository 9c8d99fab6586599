"""What travels, value by value."""
