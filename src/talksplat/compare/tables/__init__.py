"""Tables of a comparison and the statistics behind them."""
