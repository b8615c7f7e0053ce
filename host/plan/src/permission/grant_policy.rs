//! Which permissions a release has, from one apply to the next.

use crate::descriptor::Descriptor;
use crate::permission::Permission;
use crate::permission::gate::Grants;
use crate::plan::Plan;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where the grants of a release come from.
#[derive(Debug, Clone)]
pub enum GrantPolicy {
    /// The operator grants everything that the plugin requests.
    Requested,
    /// The operator grants the permissions of a file.
    File(Grants),
    /// The release keeps the grants of its last apply.
    Carried(CarriedGrants),
}

/// The grants of a release, and the settings for which they were given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CarriedGrants {
    /// The settings, defaults filled in.
    pub settings: Value,
    /// The granted permissions for these settings.
    pub granted: Vec<Permission>,
    /// The granted permissions that follow their settings, as the plugin states them over settings.
    pub agreed: Vec<Permission>,
}

impl GrantPolicy {
    /// The carried grants. None if the plugin or a file decides.
    pub fn carried(&self) -> Option<&[Permission]> {
        match self {
            Self::Carried(carried) => Some(&carried.granted),
            Self::Requested | Self::File(_) => None,
        }
    }

    /// The grants for `settings`, which are `given` with the defaults filled in.
    pub fn resolve(self, descriptor: &Descriptor, given: &Value, settings: Value) -> CarriedGrants {
        match self {
            Self::Requested => {
                let names = |stated: &Permission| stated.settings().is_ok_and(|names| !names.is_empty());
                let agreed = descriptor.requested().into_iter().filter(names).collect();
                CarriedGrants { granted: descriptor.requested_for(&settings), agreed, settings }
            }
            // The operator wrote values down, so the grants must not follow any setting.
            Self::File(grants) => CarriedGrants { granted: grants.permissions, agreed: Vec::new(), settings },
            Self::Carried(carried) => carried.follow(descriptor, given, settings),
        }
    }
}

impl CarriedGrants {
    /// The grants of a plan, for the next apply of its release.
    pub fn of(plan: &Plan) -> Self {
        Self { settings: plan.settings.clone(), granted: plan.granted.clone(), agreed: plan.agreed.clone() }
    }

    /// The grants for other settings. A permission follows its settings if the plugin still states it in the same words and
    /// the operator gave every value that differs.
    fn follow(self, descriptor: &Descriptor, given: &Value, settings: Value) -> Self {
        let stated = descriptor.requested();
        // In other words, the permission may name another setting that had the same value by chance.
        let agreed: Vec<Permission> =
            self.agreed.into_iter().filter(|agreed| stated.contains(agreed)).collect();
        // The plugin decides a default, so a new default must not move a grant.
        let is_chosen =
            |name: &String| self.settings.get(name) == settings.get(name) || given.get(name).is_some();
        let (mut left, mut reached) = (Vec::new(), Vec::new());
        for permission in &agreed {
            let before =
                permission.with_settings(&self.settings).filter(|before| self.granted.contains(before));
            if let Some(before) = before
                && permission.settings().is_ok_and(|names| names.iter().all(is_chosen))
            {
                reached.extend(permission.with_settings(&settings));
                left.push(before);
            }
        }
        // Another order would be another plan, and a second apply must write nothing.
        if left == reached {
            return Self { settings, agreed, ..self };
        }
        let mut granted = descriptor.requested_for(&settings);
        granted.retain(|requested| self.granted.contains(requested) || reached.contains(requested));
        let mut others = self.granted;
        others.retain(|other| !left.contains(other) && !granted.contains(other));
        granted.append(&mut others);
        Self { settings, granted, agreed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn connect(origin: &str) -> Permission {
        Permission::Connect(origin.into())
    }

    fn stating(permissions: &[Permission]) -> Descriptor {
        serde_json::from_value(json!({
            "name": "demo", "version": "1.0.0", "title": "", "summary": "", "license": "", "source": "",
            "settingsSchema": {}, "secretInputs": [], "dependencies": [], "permissions": permissions,
        }))
        .expect("a descriptor")
    }

    fn installed(stated: &[Permission], settings: &Value) -> CarriedGrants {
        GrantPolicy::Requested.resolve(&stating(stated), settings, settings.clone())
    }

    /// The carried grants after an apply with `given`, whose resolved settings are `settings`.
    fn then(
        carried: &CarriedGrants,
        stated: &[Permission],
        given: &Value,
        settings: &Value,
    ) -> Vec<Permission> {
        GrantPolicy::Carried(carried.clone()).resolve(&stating(stated), given, settings.clone()).granted
    }

    #[test]
    fn a_permission_follows_a_given_setting_and_leaves_the_old_value() {
        let stated =
            [connect("https://always"), connect("${url}"), Permission::CopySecret("${secret}".into())];
        let before = json!({"url": "https://a", "secret": "default/a"});
        let now = json!({"url": "https://b", "secret": "default/a"});
        let granted = then(&installed(&stated, &before), &stated, &json!({"url": "https://b"}), &now);
        assert_eq!(granted, stating(&stated).requested_for(&now));
        assert!(!granted.contains(&connect("https://a")), "{granted:?}");
    }

    #[test]
    fn a_permission_keeps_following_from_apply_to_apply() {
        let stated = [connect("${url}")];
        let mut carried = installed(&stated, &json!({"url": "https://a"}));
        for url in ["https://b", "https://a", "https://c"] {
            let settings = json!({ "url": url });
            carried = GrantPolicy::Carried(carried).resolve(&stating(&stated), &settings, settings.clone());
            assert_eq!(carried.granted, [connect(url)]);
        }
    }

    #[test]
    fn a_changed_default_moves_no_grant() {
        let stated = [connect("${url}"), connect("https://${host}")];
        let carried = installed(&stated, &json!({"domain": "a", "url": "https://a", "host": "x.a"}));
        // A default of a newer plugin, one in place of a given setting, and one that follows from another domain.
        let now = json!({"domain": "b", "url": "https://other", "host": "x.b"});
        assert_eq!(then(&carried, &stated, &json!({"domain": "b"}), &now), carried.granted);
    }

    #[test]
    fn a_permission_follows_only_if_every_changed_value_was_given() {
        let stated = [connect("https://${host}:${port}")];
        let carried = installed(&stated, &json!({"host": "a", "port": 1}));
        let given = json!({"host": "b"});
        assert_eq!(then(&carried, &stated, &given, &json!({"host": "b", "port": 2})), carried.granted);
        let followed = then(&carried, &stated, &given, &json!({"host": "b", "port": 1}));
        assert_eq!(followed, [connect("https://b:1")]);
    }

    #[test]
    fn another_setting_with_the_same_value_moves_no_grant() {
        let before = json!({"url": "https://a", "homepage": "https://a"});
        let carried = installed(&[connect("${url}")], &before);
        let stated = [connect("${homepage}")];
        let newer = GrantPolicy::Carried(carried).resolve(&stating(&stated), &json!({}), before);
        assert_eq!(newer.granted, [connect("https://a")]);
        // Nor one apply later, when the grants equal the request.
        let now = json!({"url": "https://a", "homepage": "https://b"});
        assert_eq!(then(&newer, &stated, &json!({"homepage": "https://b"}), &now), newer.granted);
    }

    #[test]
    fn an_agreement_ends_when_the_plugin_no_longer_states_it() {
        let carried = installed(&[connect("${url}")], &json!({"url": "https://a"}));
        let without =
            GrantPolicy::Carried(carried).resolve(&stating(&[]), &json!({}), json!({"url": "https://a"}));
        assert_eq!(
            (without.granted.as_slice(), without.agreed.as_slice()),
            (&[connect("https://a")][..], &[][..])
        );
        let now = json!({"url": "https://b"});
        assert_eq!(then(&without, &[connect("${url}")], &now, &now), without.granted);
    }

    #[test]
    fn grants_of_a_file_follow_no_setting() {
        let stated = [connect("${url}")];
        let before = json!({"url": "https://a"});
        let only = GrantPolicy::File(Grants { permissions: vec![connect("https://a")] });
        let carried = only.resolve(&stating(&stated), &before, before.clone());
        let now = json!({"url": "https://b"});
        assert_eq!(then(&carried, &stated, &now, &now), [connect("https://a")]);
    }

    #[test]
    fn a_permission_that_was_not_granted_is_not_granted_by_a_setting() {
        let stated = [connect("${url}"), connect("${mirror}")];
        let mut carried = installed(&stated, &json!({"url": "https://a", "mirror": "https://m"}));
        carried.granted.retain(|granted| *granted != connect("https://m"));
        let now = json!({"url": "https://a", "mirror": "https://n"});
        assert_eq!(then(&carried, &stated, &now, &now), [connect("https://a")]);
    }

    #[test]
    fn a_value_that_another_permission_needs_stays_granted() {
        let before = json!({"url": "https://a", "mirror": "https://a"});
        let now = json!({"url": "https://b", "mirror": "https://a"});
        for other in [connect("${mirror}"), connect("https://a")] {
            let stated = [connect("${url}"), other];
            let granted = then(&installed(&stated, &before), &stated, &now, &now);
            assert_eq!(granted, [connect("https://b"), connect("https://a")]);
        }
    }

    #[test]
    fn a_setting_can_end_a_permission_but_not_grant_one() {
        let stated = [connect("https://always"), connect("${on:if}https://a"), connect("${optional}")];
        let (off, on) = (json!({"on": false}), json!({"on": true}));
        assert_eq!(then(&installed(&stated, &on), &stated, &off, &off), [connect("https://always")]);
        let on = json!({"on": true, "optional": "https://b"});
        assert_eq!(then(&installed(&stated, &off), &stated, &on, &on), [connect("https://always")]);
    }

    #[test]
    fn without_a_changed_value_the_grants_keep_their_order() {
        let settings = json!({"url": "https://a"});
        let mut carried = installed(&[connect("https://always"), connect("${url}")], &settings);
        let newer = [connect("${url}"), connect("https://more"), connect("https://always")];
        assert_eq!(then(&carried, &newer, &settings, &settings), carried.granted);
        carried.agreed.clear();
        assert_eq!(then(&carried, &newer, &settings, &settings), carried.granted);
    }
}
