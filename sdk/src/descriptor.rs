use crate::{Dependency, Descriptor, KindPermission, Permission, Scope, SecretInput, TypeMeta};

impl Descriptor {
    /// A plugin that depends on nothing and asks for nothing. `name` is a DNS label and the default name of a release;
    /// `version` is a semantic version, usually `env!("CARGO_PKG_VERSION")`.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            title: name.clone(),
            name,
            version: version.into(),
            summary: String::new(),
            license: String::new(),
            source: String::new(),
            // The export macro fills it in from the settings type.
            settings_schema: String::new(),
            namespace_setting: None,
            secret_inputs: Vec::new(),
            dependencies: Vec::new(),
            deployment_order: None,
            permissions: Vec::new(),
        }
    }

    /// What people call it.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// One sentence on what it is for.
    pub fn summary(mut self, summary: impl Into<String>) -> Self {
        self.summary = summary.into();
        self
    }

    /// An SPDX expression.
    pub fn license(mut self, license: impl Into<String>) -> Self {
        self.license = license.into();
        self
    }

    /// Where the source is.
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.source = source.into();
        self
    }

    /// The setting that names the release's namespace. Without it the namespace has the release's name.
    pub fn namespace_setting(mut self, setting: impl Into<String>) -> Self {
        self.namespace_setting = Some(setting.into());
        self
    }

    /// A secret that the operator supplies in the environment variable `env`. The plugin only ever knows its name.
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

    /// One that has the value of another, stated before, where it is not supplied itself: one password for two uses that
    /// may become two.
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

    /// The place in the platform's order of services.
    pub fn deployment_order(mut self, order: u32) -> Self {
        self.deployment_order = Some(order);
        self
    }

    /// Another service that must be there first, with its place in the platform's order.
    pub fn depends_on(mut self, service: impl Into<String>, order: u32) -> Self {
        let service = service.into();
        self.dependencies.push(Dependency { service, deployment_order: Some(order), optional: false });
        self
    }

    /// Asks to have objects of this kind applied, and to check them.
    pub fn emits(mut self, kind: TypeMeta, scope: Scope) -> Self {
        self.permissions.push(Permission::Emit(KindPermission::new(kind, scope)));
        self
    }

    /// Asks to be told about objects of this kind.
    pub fn reads(mut self, kind: TypeMeta, scope: Scope) -> Self {
        self.permissions.push(Permission::Read(KindPermission::new(kind, scope)));
        self
    }

    /// Asks for a permission that has no function of its own here. Its text may name settings: `${NAME}`, `${NAME:dashed}`;
    /// with `${NAME:if}` or `${NAME:unless}` in it, it is asked for only while the setting is true or set, or is not.
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
