"""When and where the model runs: calls wait in lines, are joined, let in or refused by what they cost."""
