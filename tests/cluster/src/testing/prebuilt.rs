//! What the test runner built before the first test, so that no test builds it again.

use std::env;

/// The environment variable that names the host's program.
pub const HOST_VARIABLE: &str = "THINKUBE_TEST_HOST";

/// The environment variable that names the folders of the built plugins, separated by commas.
pub const PLUGINS_VARIABLE: &str = "THINKUBE_TEST_PLUGINS";

/// Whether the runner built the plugin in this folder of the workspace.
pub fn is_built(folder: &str) -> bool {
    env::var(PLUGINS_VARIABLE).is_ok_and(|built| contains(&built, folder))
}

fn contains(built: &str, folder: &str) -> bool {
    built.split(',').any(|one| one == folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_is_built_when_its_whole_name_is_listed() {
        assert!(contains("plugin-devpi,tests/files-plugin", "tests/files-plugin"));
        assert!(!contains("plugin-devpi,tests/files-plugin", "tests/files"));
        assert!(!contains("", "plugin-devpi"));
    }
}
