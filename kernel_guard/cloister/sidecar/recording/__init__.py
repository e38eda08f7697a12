"""What is noted of an execution beside its code: outputs, data flow, files, environment, trace."""
