const now = Date.now;
Date.now = () => now() + 10 * 365 * 86_400_000;
