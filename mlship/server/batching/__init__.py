"""When and where the model runs: calls wait in queues, are joined, let in or refused by what they cost."""
