//! What the runner of the tests has built before the first test: then no test builds it once more.

use std::env;

/// The environment variable that names the host's program.
pub const HOST_VARIABLE: &str = "THINKUBE_TEST_HOST";

/// The environment variable that names the folders of the plugins that are built, with commas between them.
pub const PLUGINS_VARIABLE: &str = "THINKUBE_TEST_PLUGINS";

/// Whether the plugin in this folder of the workspace is built.
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
