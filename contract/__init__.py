"""What edge and server agree on: messages, topics, quantities, validity flags, site time. Pure, no I/O."""
