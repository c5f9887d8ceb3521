"""Where Beam's work runs: in the step's own process, on Flink or Spark, or on Dataflow."""
