//! What an apply would write: the objects of a plan, compared to those of the cluster.

pub(crate) mod compare;
pub(crate) mod dry_run;
pub(crate) mod managed_fields;
pub(crate) mod normalize;
pub(crate) mod target;
