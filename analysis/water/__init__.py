"""Water in numbers that people pay and are measured by: tariffs, quotas, plans, balances, forecasts, comparisons."""
