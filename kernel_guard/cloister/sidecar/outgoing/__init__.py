"""What a kernel says, on its way out: small steps that pass, mask or withhold it."""
