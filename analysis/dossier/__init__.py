"""The dossier (台账) of a quarter that applies to be named: indicators, evidence, score, gaps, frozen versions.

``tree.Dossier`` is what is shown: a tree of plain values with texts in both languages. ``gather.present_dossier`` makes
it from what is stored now, ``gather.frozen_dossier`` reads a frozen version back; a report renders either alike.
"""
