"""Compare fusion methods on whole data sets: the paper's tables, and a report for people.

From a file of methods (:mod:`~training.benchmark.methods`) and a folder of image sets every pair
is fused by every method (:mod:`~training.benchmark.fusing`) and scored
(:mod:`~training.benchmark.results`); :mod:`~training.benchmark.statistics` says what is noise,
:mod:`~training.benchmark.efficiency` what it costs, :mod:`~training.benchmark.report` writes it
down. The command is ``python -m training.benchmark``.
"""
