//! From a kubeconfig to a connection.

use crate::error::api::ApiError;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How to reach a cluster.
#[derive(Debug, Clone)]
pub struct Connect {
    /// The kubeconfig. None: `KUBECONFIG`, else `~/.kube/config`, else the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// The context in the kubeconfig. None: the current one.
    pub context: Option<String>,
    /// The namespace of the release records.
    pub state_namespace: String,
}

impl Default for Connect {
    fn default() -> Self {
        Self { kubeconfig: None, context: None, state_namespace: "thinkube-system".into() }
    }
}

impl Connect {
    /// The kubeconfig that is read, for messages.
    pub(crate) fn kubeconfig_path(&self) -> String {
        match (&self.kubeconfig, std::env::var("KUBECONFIG")) {
            (Some(path), _) => path.display().to_string(),
            (None, Ok(path)) if !path.is_empty() => path,
            _ => "~/.kube/config".to_owned(),
        }
    }

    /// Reads the kubeconfig.
    pub(crate) async fn load(&self) -> Result<kube::Config, ApiError> {
        let path = self.kubeconfig_path();
        let kubeconfig = match &self.kubeconfig {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        };
        let kubeconfig = match kubeconfig {
            Ok(kubeconfig) => kubeconfig,
            Err(KubeconfigError::ReadConfig(error, _)) if error.kind() == std::io::ErrorKind::NotFound => {
                return self.service_account().ok_or(ApiError::NoKubeconfig { path });
            }
            Err(KubeconfigError::FindPath) => return Err(ApiError::NoKubeconfig { path }),
            Err(error) => return Err(ApiError::Kubeconfig { path, message: chain(&error) }),
        };
        let contexts: Vec<String> = kubeconfig.contexts.iter().map(|context| context.name.clone()).collect();
        let selected = KubeConfigOptions { context: self.context.clone(), cluster: None, user: None };
        let mut config =
            kube::Config::from_custom_kubeconfig(kubeconfig, &selected).await.map_err(|error| {
                let mut message = chain(&error);
                if matches!(error, KubeconfigError::LoadContext(_) | KubeconfigError::CurrentContextNotSet) {
                    message = format!("{message}; its contexts are: {}", contexts.join(", "));
                }
                ApiError::Kubeconfig { path, message }
            })?;
        configure(&mut config);
        Ok(config)
    }

    fn service_account(&self) -> Option<kube::Config> {
        let mut config = kube::Config::incluster().ok()?;
        configure(&mut config);
        (self.kubeconfig.is_none() && self.context.is_none()).then_some(config)
    }
}

fn configure(config: &mut kube::Config) {
    // kube repeats every verb up to fifteen times with pauses of minutes; `api::retry` decides here.
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
}

/// The innermost source of an error: the outer ones of an HTTP client only name its layers.
pub(crate) fn innermost(error: &dyn Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

/// An error with its sources, each text once.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut parts: Vec<String> = vec![error.to_string()];
    let mut source = error.source();
    while let Some(inner) = source {
        let text = inner.to_string();
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        source = inner.source();
    }
    parts.join(": ")
}
