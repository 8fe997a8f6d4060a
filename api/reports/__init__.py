"""Reports as HTML, PDF and XLSX, and the desk that has them made in the background."""
