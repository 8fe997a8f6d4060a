"""The streaming sound level meter, its sources and its tools."""

import os

# The meter's matrix products are small: threads of the matrix library cost them more than they bring, and wait busily
# for the next product. This holds where NumPy has not been imported before; elsewhere products are cut small enough.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
