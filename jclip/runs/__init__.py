"""What every experiment shares: its command line, its folder of results, its exit status."""
