"""What all outbound HTTP clients share."""
