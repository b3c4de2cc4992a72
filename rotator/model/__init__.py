"""The frozen values that flow from a secret to an outcome, by what they are about."""
