"""Mutable state in a relational store; a row authorises nothing by itself."""
