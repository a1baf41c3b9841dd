"""The least that could do the same work: what Simmer is measured against, each as small as it can honestly be."""
