//! Files for the $HOME of an operator or a developer.

use crate::context::Context;
use crate::contract::{Problem, WorkstationDirectory, WorkstationFile, WorkstationPlan};
use crate::plugin::Plugin;

/// Optional interface `workstation`: `export_plugin!(X, workstation)`.
pub trait Workstation: Plugin {
    /// Returns the files that a workstation needs. The function is pure like [`Plugin::plan`]. The context has no facts and
    /// no secrets, because a workstation may have no cluster.
    ///
    /// # Errors
    /// A [`Problem`] if these settings allow no plan.
    fn plan_workstation(context: &Context<Self::Settings>) -> Result<WorkstationPlan, Problem>;
}

/// The type of [`Workstation::plan_workstation`], which the export macro names.
#[doc(hidden)]
pub type WorkstationPlanOf<P> = fn(&Context<<P as Plugin>::Settings>) -> Result<WorkstationPlan, Problem>;

impl WorkstationPlan {
    /// An empty plan.
    pub fn new() -> Self {
        Self { directories: Vec::new(), files: Vec::new(), python_packages: Vec::new() }
    }

    /// A directory, relative to $HOME. The parent directories of a file need no entry: the host creates them with mode 0700.
    /// Needs [`Permission::WriteHome`](crate::Permission).
    pub fn directory(mut self, path: impl Into<String>, mode: u32) -> Self {
        self.directories.push(WorkstationDirectory { path: path.into(), mode });
        self
    }

    /// A whole file, relative to $HOME. The mode is at most 0755. Needs [`Permission::WriteHome`](crate::Permission).
    pub fn file(mut self, path: impl Into<String>, mode: u32, content: impl Into<String>) -> Self {
        self.files.push(WorkstationFile { path: path.into(), mode, content: content.into() });
        self
    }

    /// A Python package, NAME==VERSION. The host installs it into the virtual environment
    /// `~/.local/share/thinkube/venvs/RELEASE`. Needs [`Permission::PythonPackage`](crate::Permission).
    pub fn python_package(mut self, package: impl Into<String>) -> Self {
        self.python_packages.push(package.into());
        self
    }
}

impl Default for WorkstationPlan {
    fn default() -> Self {
        Self::new()
    }
}
