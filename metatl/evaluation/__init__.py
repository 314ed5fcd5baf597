"""The one episodic evaluation, and paired statistics over what it found."""
