"""The page that people read, captions, the paper, and the replication. They read tables."""
