//! Starts and stops a whole Kubernetes on one Linux machine.
