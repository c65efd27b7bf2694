"""What answers the agents' questions: an HTTP endpoint, or a model in this process."""
