"""Leak detection for a household meter, a quarter and a district, as streams that see only the past.

``household.HouseholdDetector``, ``quarter.QuarterDetector`` and ``district.DistrictDetector`` each take one row an
hour (``update(row) -> list[Alarm]``), tell what holds now (``active()``) and keep their state in a few kilobytes
(``dump()``, ``restore(config, data)``). ``texts`` turns an alarm into a sentence, ``loss`` into litres a month.
"""
