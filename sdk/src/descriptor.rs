//! The identity of a plugin and the permissions it requests.

use crate::contract::{Dependency, Descriptor, KindPermission, Permission, Scope, SecretInput, TypeMeta};

impl Descriptor {
    /// A plugin without dependencies and permissions. `name` is a DNS label and the default name of a release; `version` is
    /// a semantic version, usually `env!("CARGO_PKG_VERSION")`.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            title: name.clone(),
            name,
            version: version.into(),
            summary: String::new(),
            license: String::new(),
            source: String::new(),
            // The export macro sets it to the schema of the settings type.
            settings_schema: String::new(),
            namespace_setting: None,
            secret_inputs: Vec::new(),
            dependencies: Vec::new(),
            deployment_order: None,
            permissions: Vec::new(),
        }
    }

    /// The name that people read.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// One sentence on the purpose of the service.
    pub fn summary(mut self, summary: impl Into<String>) -> Self {
        self.summary = summary.into();
        self
    }

    /// An SPDX expression.
    pub fn license(mut self, license: impl Into<String>) -> Self {
        self.license = license.into();
        self
    }

    /// The URL of the source code.
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.source = source.into();
        self
    }

    /// The setting that holds the namespace of the release. By default the namespace has the name of the release.
    pub fn namespace_setting(mut self, setting: impl Into<String>) -> Self {
        self.namespace_setting = Some(setting.into());
        self
    }

    /// A secret that the operator supplies in the environment variable `env`. The plugin refers to it by name and never sees
    /// the value.
    pub fn secret_input(
        mut self,
        name: impl Into<String>,
        env: impl Into<String>,
        summary: impl Into<String>,
    ) -> Self {
        let (name, env, summary) = (name.into(), env.into(), summary.into());
        self.secret_inputs.push(SecretInput { name, env, falls_back_to: None, summary, required: true });
        self
    }

    /// A secret input that has the value of `other`, an earlier secret input, unless the operator supplies one.
    pub fn secret_input_or(
        self,
        name: impl Into<String>,
        env: impl Into<String>,
        other: impl Into<String>,
        summary: impl Into<String>,
    ) -> Self {
        let mut descriptor = self.secret_input(name, env, summary);
        if let Some(input) = descriptor.secret_inputs.last_mut() {
            input.falls_back_to = Some(other.into());
        }
        descriptor
    }

    /// The position in the platform's deployment order.
    pub fn deployment_order(mut self, order: u32) -> Self {
        self.deployment_order = Some(order);
        self
    }

    /// A service that must be installed first, with its position in the platform's deployment order.
    pub fn depends_on(mut self, service: impl Into<String>, order: u32) -> Self {
        let service = service.into();
        self.dependencies.push(Dependency { service, deployment_order: Some(order), optional: false });
        self
    }

    /// Requests the permission to apply, and to check, objects of this kind.
    pub fn emits(mut self, kind: TypeMeta, scope: Scope) -> Self {
        self.permissions.push(Permission::Emit(KindPermission::new(kind, scope)));
        self
    }

    /// Requests the permission to receive facts about objects of this kind.
    pub fn reads(mut self, kind: TypeMeta, scope: Scope) -> Self {
        self.permissions.push(Permission::Read(KindPermission::new(kind, scope)));
        self
    }

    /// Requests any other permission. Its text may hold the placeholders that [`Permission`] describes, for example
    /// `${NAME}` and `${NAME:if}`.
    pub fn permission(mut self, permission: Permission) -> Self {
        self.permissions.push(permission);
        self
    }
}

impl KindPermission {
    fn new(kind: TypeMeta, scope: Scope) -> Self {
        Self { api_version: kind.api_version, kind: kind.kind, scope }
    }
}
