"""Abuse on purpose: claims of robustness as counts that anyone can make again."""
