//! Progress of an apply, an operation and an uninstall, event by event on stderr.

use crate::output::printer::Printer;
use crate::output::terminal::{CARE, FAINT, GOOD, STRONG};
use crate::output::text::{Text, styled, text, untrusted};
use crate::output::{changes, checks, image};
use std::sync::Mutex;
use std::time::Instant;
use thinkube_engine::model::{ObjectRef, Subject};
use thinkube_engine::{Change, ClusterProgress, Event};

/// Shows events as they come, each with the time since the start.
pub(crate) struct Progress {
    printer: Printer,
    started: Instant,
    /// The objects that are not ready and the reasons, as shown last: a reason is shown once.
    waiting: Mutex<Vec<(ObjectRef, String)>>,
}

impl Progress {
    pub(crate) fn new(printer: Printer) -> Self {
        Self { printer, started: Instant::now(), waiting: Mutex::default() }
    }

    pub(crate) fn show(&self, event: &Event) {
        let text = match event {
            Event::Checked(outcome) => Some(checks::check(outcome)),
            Event::Cluster(event) => self.cluster_event(event),
            Event::Building(event) => image::progress(event),
            Event::Changed(change) => Some(changes::done(change)),
        };
        if let Some(text) = text {
            self.line(&text);
        }
    }

    /// Shows one line.
    pub(crate) fn line(&self, text: &Text) {
        let seconds = self.started.elapsed().as_secs();
        let time = styled(FAINT, text!("{:>3}:{:02}", seconds / 60, seconds % 60));
        self.printer.note(&text!("{} {}\n", time, text.clone()));
    }

    fn cluster_event(&self, event: &ClusterProgress) -> Option<Text> {
        Some(match event {
            ClusterProgress::Recorded { release, revision, objects } => {
                untrusted(format!("release {release}: recorded revision {revision} with {objects} objects"))
            }
            ClusterProgress::StageStarted { stage, objects, writes } => {
                let name = styled(STRONG, untrusted(stage));
                text!("stage {}: {} objects, {} to write", name, *objects, *writes)
            }
            ClusterProgress::StageSkipped { stage } => {
                text!("stage {}: skipped, already done", styled(STRONG, untrusted(stage)))
            }
            ClusterProgress::Applied { object, action } => {
                changes::done(&Change::new(Subject::Object(object.clone()), None, *action))
            }
            ClusterProgress::Used { object, why } => untrusted(format!("  {object} used as it is: {why}")),
            ClusterProgress::PodFile(change) => changes::done(change),
            ClusterProgress::Waiting { objects } => return self.still_waiting(objects),
            ClusterProgress::Ready { object, after } => {
                let object = styled(GOOD, untrusted(format!("✓ {object}")));
                text!("  {} ready after {:.1} s", object, after.as_secs_f64())
            }
            ClusterProgress::Deleting { object } => untrusted(format!("  deleting {object}")),
            ClusterProgress::Deleted { object } => {
                text!("  {} deleted", styled(GOOD, untrusted(format!("✓ {object}"))))
            }
            ClusterProgress::Kept { object, why } => {
                text!("  {} kept: {}", styled(CARE, untrusted(object)), untrusted(why))
            }
            ClusterProgress::Retrying { what, why, after } => {
                let seconds = after.as_secs_f64();
                styled(CARE, untrusted(format!("  {what}: {why}; trying again in {seconds:.1} s")))
            }
            ClusterProgress::Warning(warning) => {
                styled(CARE, untrusted(format!("  warning from the server: {warning}")))
            }
            _ => return None,
        })
    }

    fn still_waiting(&self, objects: &[(ObjectRef, String)]) -> Option<Text> {
        let mut shown = self.waiting.lock().ok()?;
        let new: Vec<Text> = objects
            .iter()
            .filter(|waiting| !shown.contains(waiting))
            .map(|(object, reason)| untrusted(format!("  … waiting for {object}: {reason}")))
            .collect();
        *shown = objects.to_vec();
        if new.is_empty() { None } else { Some(Text::join(&new, "\n       ")) }
    }
}
