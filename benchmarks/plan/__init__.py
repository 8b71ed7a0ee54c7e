"""What a study costs: hours on this machine's cores in fp32 and in bf16, beside a GPU's."""
