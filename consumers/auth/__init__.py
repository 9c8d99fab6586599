"""Who sent it, whether they may, and when it may go on."""
