"""What many pairs teach together, by month: pooled volatility regression, error shape, and the prices behind them."""
