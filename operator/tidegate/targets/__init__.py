"""What we change in the cluster: the client, and an adapter for each way a level is written."""
