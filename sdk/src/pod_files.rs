//! Files in running pods.

use crate::bindings::plugin::thinkube::plugin::plan::{PodFile, PodFilesStep, PodLine};
use crate::contract::{Permission, Step};

/// Files and lines in running pods, for a service whose pods cannot mount them. The next apply writes them again after a pod
/// was recreated, and an uninstall removes them. Needs [`Permission::WritePodFiles`] for the namespace.
///
/// ```
/// use thinkube_sdk::{PodFiles, Stage};
///
/// let files = PodFiles::new("pip", "code-server", "app=code-server")
///     .file("/home/coder/.pip/pip.conf", 0o644, "[global]\nindex-url = https://pypi.example.com/simple/\n")
///     .line("/home/coder/.bashrc", "export PIP_CONFIG_FILE=~/.pip/pip.conf");
/// let stage = Stage::new("pip").pod_files(files);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodFiles(PodFilesStep);

impl PodFiles {
    /// No files yet, for the pods of `namespace` that match `label_selector` (`app=server,tier!=test`). `name` is unique
    /// among the steps of the plan.
    pub fn new(
        name: impl Into<String>,
        namespace: impl Into<String>,
        label_selector: impl Into<String>,
    ) -> Self {
        Self(PodFilesStep {
            name: name.into(),
            namespace: namespace.into(),
            label_selector: label_selector.into(),
            container: None,
            files: Vec::new(),
            lines: Vec::new(),
        })
    }

    /// Writes to this container instead of the first.
    pub fn container(mut self, container: impl Into<String>) -> Self {
        self.0.container = Some(container.into());
        self
    }

    /// A whole file, by its absolute path. The mode is at most 0755. The content cannot be secret: plans are shown and recorded.
    pub fn file(mut self, path: impl Into<String>, mode: u32, content: impl Into<String>) -> Self {
        self.0.files.push(PodFile { path: path.into(), mode, content: content.into() });
        self
    }

    /// A line that the file, by its absolute path, must contain. The host creates the file if it is absent.
    pub fn line(mut self, path: impl Into<String>, text: impl Into<String>) -> Self {
        self.0.lines.push(PodLine { path: path.into(), text: text.into() });
        self
    }

    /// The permission that the descriptor must request.
    pub fn permission(&self) -> Permission {
        Permission::WritePodFiles(self.0.namespace.clone())
    }
}

impl From<PodFiles> for Step {
    fn from(files: PodFiles) -> Self {
        Self::PodFiles(files.0)
    }
}
