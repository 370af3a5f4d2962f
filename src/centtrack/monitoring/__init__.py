"""Health and metrics: how recording and delivery are doing."""
