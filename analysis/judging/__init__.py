"""What the verdict rests on besides the statistics: counts and their bounds, flags, reasons, planning, calibration."""
