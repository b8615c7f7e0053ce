use crate::{WorkstationDirectory, WorkstationFile, WorkstationPlan};

impl WorkstationPlan {
    /// A setup that wants nothing.
    pub fn new() -> Self {
        Self { directories: Vec::new(), files: Vec::new(), python_packages: Vec::new() }
    }

    /// A folder, relative to the home. What files lie in is made without being named, for its owner alone. Needs
    /// [`Permission::WriteHome`](crate::Permission).
    pub fn directory(mut self, path: impl Into<String>, mode: u32) -> Self {
        self.directories.push(WorkstationDirectory { path: path.into(), mode });
        self
    }

    /// A whole file, relative to the home. No mode is wider than 0755. Needs
    /// [`Permission::WriteHome`](crate::Permission).
    pub fn file(mut self, path: impl Into<String>, mode: u32, content: impl Into<String>) -> Self {
        self.files.push(WorkstationFile { path: path.into(), mode, content: content.into() });
        self
    }

    /// A Python package, as NAME==VERSION, in a virtual environment of the release's own:
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
