//! Finds the containers that a step selects.

use crate::api::client::Client;
use crate::api::resource::{ApiResource, array};
use crate::error::Error;
use crate::error::diff::DiffError;
use crate::pod_files::exec::Container;
use crate::pod_files::report::{not_running, unwritten};
use crate::progress::{Progress, ProgressSink};
use crate::release::record::PodFilesEntry;
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// Containers that the host reads or writes at the same time.
pub(super) const MAX_CONTAINERS: usize = 8;
/// How long an apply waits for a container to run.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(1);

/// A container that a step selects.
pub(super) enum ContainerState {
    Running(Container),
    /// With the reason.
    NotRunning(Container, String),
    /// The pod has no such container.
    Missing(Error),
}

/// The containers of a step, in the order of their pods. Pods that have ended or are being deleted are left out.
pub(super) async fn containers(client: &Client, entry: &PodFilesEntry) -> Result<Vec<ContainerState>, Error> {
    let selector = [("labelSelector", entry.label_selector.as_str())];
    let pods = client.list(&ApiResource::pod(), Some(&entry.namespace), &selector, false).await?;
    let has_ended = |pod: &&Value| {
        matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
            || pod["metadata"]["deletionTimestamp"].is_string()
    };
    Ok(pods.iter().filter(|pod| !has_ended(pod)).map(|pod| container(pod, entry)).collect())
}

/// The running containers of a step. With `wait`, waits up to a minute for the others, and reports those that still do not
/// run.
pub(super) async fn running_containers(
    client: &Client,
    entry: &PodFilesEntry,
    wait: bool,
    progress: ProgressSink<'_>,
) -> Result<Vec<Container>, Error> {
    let deadline = Instant::now() + if wait { START_TIMEOUT } else { Duration::ZERO };
    loop {
        let (mut running, mut waiting) = (Vec::new(), Vec::new());
        for found in containers(client, entry).await? {
            match found {
                ContainerState::Running(at) => running.push(at),
                ContainerState::NotRunning(at, why) => waiting.push((at, why)),
                ContainerState::Missing(error) => return Err(error),
            }
        }
        if waiting.is_empty() || Instant::now() >= deadline {
            for (at, why) in waiting {
                progress(Progress::PodFile(unwritten(entry, &at, &not_running(&at, &why))));
            }
            return Ok(running);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The container that the step names, or the first container of the pod.
fn container(pod: &Value, entry: &PodFilesEntry) -> ContainerState {
    let name_of = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    let names: Vec<String> = array(&pod["spec"]["containers"]).iter().map(name_of).collect();
    let pod_name = pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let name = match &entry.container {
        Some(wanted) if names.contains(wanted) => wanted.clone(),
        None if !names.is_empty() => names[0].clone(),
        _ => {
            let message = format!(
                "pod {}/{pod_name} has no container `{}`; it has {}",
                entry.namespace,
                entry.container.as_deref().unwrap_or_default(),
                names.join(", ")
            );
            let step = format!("pod files {}", entry.step);
            return ContainerState::Missing(DiffError::invalid(&entry.stage, step, message).into());
        }
    };
    let at = Container { namespace: entry.namespace.clone(), pod: pod_name, name };
    let state = array(&pod["status"]["containerStatuses"])
        .iter()
        .find(|status| status["name"] == at.name.as_str())
        .map(|status| &status["state"]);
    match state {
        Some(state) if state["running"].is_object() => ContainerState::Running(at),
        Some(state) => {
            let reason = ["waiting", "terminated"].iter().find_map(|phase| state[*phase]["reason"].as_str());
            ContainerState::NotRunning(at, reason.unwrap_or("it waits").to_owned())
        }
        None => {
            ContainerState::NotRunning(at, pod["status"]["phase"].as_str().unwrap_or("unknown").to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod_files::testing::entry;
    use serde_json::json;

    #[test]
    fn the_first_container_is_the_default_and_a_missing_one_is_an_error() {
        let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a"}, {"name": "b"}]},
            "status": {"phase": "Running", "containerStatuses": [{"name": "b", "state": {"running": {}}},
                {"name": "a", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}});
        let of =
            |container: Option<&str>| PodFilesEntry { container: container.map(Into::into), ..entry(&[]) };
        assert!(matches!(container(&pod, &of(Some("b"))), ContainerState::Running(at) if at.name == "b"));
        assert!(
            matches!(container(&pod, &of(None)), ContainerState::NotRunning(at, why) if at.name == "a" && why == "CrashLoopBackOff")
        );
        let ContainerState::Missing(error) = container(&pod, &of(Some("c"))) else {
            panic!("the pod has no container `c`")
        };
        assert!(error.to_string().contains("no container `c`; it has a, b"), "{error}");
    }
}
