"""One page that tells the whole way from a brain signal to decoded words, on a simulated listener."""
