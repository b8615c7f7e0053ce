//! Renders hints. No other crate knows a flag of the command line.

use thinkube_engine::model::Hint;

/// The advice as a sentence without a full stop.
pub(crate) fn render(hint: &Hint) -> String {
    match hint {
        Hint::Advice(advice) => advice.clone(),
        Hint::NameKubeconfig => "name a kubeconfig with --kubeconfig FILE, or set KUBECONFIG".to_owned(),
        Hint::GiveFacts => {
            "plan against a cluster with --cluster, or give the facts in a file with --facts FILE".to_owned()
        }
        Hint::Grant => {
            "grant the permissions in the file of --grants, or grant all that the plugin requests with \
             --grant-requested"
                .to_owned()
        }
        Hint::GrantAgain => {
            "to move the release, grant its permissions for the new namespace with --grant-requested"
                .to_owned()
        }
        Hint::SupplySecret { input, env } => {
            format!("set the environment variable {env}, or name a file with --secret {input}=file:PATH")
        }
        Hint::Adopt(object) => format!("to let the release take it over, add --adopt {object}"),
        Hint::Orphan(step) => format!("to leave it behind, add --orphan {step}"),
        Hint::KeepImages => "to keep the image in its registry, leave out --delete-images".to_owned(),
    }
}
