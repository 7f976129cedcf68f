"""The demonstration: Double 11, 2019, played by the real operator on an embedded cluster; its evening, or its night.

``evening`` and ``night`` have the same doors by the same names; what both share stands here.
"""
