"""The words of the glossary as frozen values."""
