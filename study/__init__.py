"""Search, confirm and report: which learning-rate schedule wins, and can you prove it?"""
