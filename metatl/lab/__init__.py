"""Everything about files, terminals and processes: values of an experiment, runs, records, the command."""
