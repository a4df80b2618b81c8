"""From features to success: the calibrated difficulty predictor."""
