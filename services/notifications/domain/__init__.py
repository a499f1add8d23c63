"""What people are told: kinds, deliveries and the rules by which they go out."""
