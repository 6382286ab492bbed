"""Who calls: wrk for plain calls at full speed, a client that counts to the last call, one for streams."""
