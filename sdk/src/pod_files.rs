use crate::bindings::plugin::thinkube::plugin::plan::{PodFile, PodFilesStep, PodLine};
use crate::{Permission, Step};

/// Files and lines in running pods, for a service that cannot have them mounted. They are written again by the next apply
/// when a pod was made anew, and taken out at uninstall. Needs [`Permission::WritePodFiles`] for the namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodFiles(PodFilesStep);

impl PodFiles {
    /// Nothing yet, in the pods of this namespace that have these labels (`app=server,tier!=test`). `name` is unique among
    /// the steps of the plan.
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

    /// Another container than the first.
    pub fn container(mut self, container: impl Into<String>) -> Self {
        self.0.container = Some(container.into());
        self
    }

    /// A whole file by its absolute path, no wider than 0755. It is no place for a secret: a plan holds none.
    pub fn file(mut self, path: impl Into<String>, mode: u32, content: impl Into<String>) -> Self {
        self.0.files.push(PodFile { path: path.into(), mode, content: content.into() });
        self
    }

    /// A line that the file of this absolute path is to hold once. The file is made if it is missing.
    pub fn line(mut self, path: impl Into<String>, text: impl Into<String>) -> Self {
        self.0.lines.push(PodLine { path: path.into(), text: text.into() });
        self
    }

    /// What the descriptor has to ask for.
    pub fn permission(&self) -> Permission {
        Permission::WritePodFiles(self.0.namespace.clone())
    }
}

impl From<PodFiles> for Step {
    fn from(files: PodFiles) -> Self {
        Self::PodFiles(files.0)
    }
}
