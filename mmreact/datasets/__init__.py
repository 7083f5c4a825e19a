"""Preparation of the public data sets that mmreact trains and tests on."""
