//! A rolling restart of a workload, as `kubectl rollout restart` does it.

use crate::object::ObjectRef;
use crate::plan::rules::{StepFault, StepRules};

/// The kinds of `apps/v1` whose controller replaces its pods when the pod template changes.
const RESTARTABLE: [&str; 3] = ["Deployment", "StatefulSet", "DaemonSet"];

/// The rule that a restart of `workload` breaks.
pub(crate) fn fault(workload: &ObjectRef, rules: &StepRules<'_>) -> Option<StepFault> {
    if !rules.is_operation {
        return Some(
            "only an operation restarts a workload; a release would restart it at every apply".into(),
        );
    }
    let is_restartable = workload.namespace.is_some()
        && workload.api_version == "apps/v1"
        && RESTARTABLE.contains(&workload.kind.as_str());
    (!is_restartable).then(|| "only an apps/v1 Deployment, StatefulSet or DaemonSet can be restarted".into())
}
