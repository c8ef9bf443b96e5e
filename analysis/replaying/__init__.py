"""The trial's arrivals under other settings: policies, two independent engines, calibration to what was observed."""
