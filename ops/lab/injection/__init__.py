"""The training of the injection classifier: its texts, its fit and its tables. Nothing at run time imports it."""
