"""The engines that a rendered script calls; all of this travels to the cluster."""
