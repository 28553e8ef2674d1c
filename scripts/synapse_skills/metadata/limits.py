"""How large a table may be. Beyond these it is refused by name, because reading it could take the machine's memory."""

from __future__ import annotations

MIB = 1 << 20

MAX_WORKBOOK_BYTES = 128 * MIB
"""The workbook as it lies on the disk: it is held while it is read."""

MAX_UNPACKED_BYTES = 1024 * MIB
"""All that a workbook's zip unpacks to."""

MAX_RATIO = 400
"""Unpacked to packed bytes of one part that is larger than `MAX_TRUSTED_BYTES`; real sheets stay below 100."""

MAX_TRUSTED_BYTES = 32 * MIB
MAX_ENTRIES = 10_000
MAX_PART_BYTES = 16 * MIB
"""Parts that say what is in the workbook: read whole."""

MAX_ROWS = 1_048_576
MAX_COLUMNS = 16_384
MAX_CELLS = 10_000_000
"""Cells of the smallest rectangle that holds all values of a sheet: calamine allocates 32 bytes for each of them."""

MAX_ANNOUNCED = 65_536 * 256
"""Cells that a sheet of an .xls says it has: all that its format allows."""

MAX_TEXT_BYTES = 512 * MIB
"""All text of a sheet, a text counted once for each cell that shows it."""

MAX_CELL_BYTES = MIB
"""One cell; Excel itself stops at 32,767 characters."""

MAX_LIST_BYTES = 64 * MIB
"""A JSON document that must be read whole."""

MAX_SHEETS = 256
MAX_NOTED = 200_000
"""Cells of a workbook that are remembered one by one: errors, formulas without a value, long numbers."""
