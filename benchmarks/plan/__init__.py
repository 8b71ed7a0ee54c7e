"""The cost of a study: hours on this machine's cores in fp32 and in bf16, and hours on a GPU."""
