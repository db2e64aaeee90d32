"""Ways of making a pair, in memory: what is asked for (recipe), what comes out (sample), one file per way."""
