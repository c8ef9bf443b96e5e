"""The price book's rows, its checks, and what a refresh would change."""
