"""Report, executed notebooks and documentation as one folder of web pages that needs no server and fetches nothing."""
