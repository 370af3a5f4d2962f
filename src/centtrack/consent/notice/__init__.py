"""What visitors read: the page, the banner, the policy, in three languages."""
