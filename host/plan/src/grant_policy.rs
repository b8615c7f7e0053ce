//! What a release is allowed, from one apply to the next.

use crate::{Descriptor, Grants, Permission};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Who says what a plugin is allowed.
#[derive(Debug, Clone)]
pub enum GrantPolicy {
    /// The plugin: whatever it asks for.
    Requested,
    /// The operator, one by one.
    File(Grants),
    /// Nobody now: what was allowed before.
    Carried(CarriedGrants),
}

/// What a release is allowed, and with which settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CarriedGrants {
    /// The settings, defaults filled in.
    pub settings: Value,
    /// What is allowed with them.
    pub granted: Vec<Permission>,
    /// What of that the operator agreed to as the plugin stated it, over settings.
    pub agreed: Vec<Permission>,
}

impl GrantPolicy {
    /// What is held on to, if it is that which counts.
    pub fn held(&self) -> Option<&[Permission]> {
        match self {
            Self::Carried(held) => Some(&held.granted),
            Self::Requested | Self::File(_) => None,
        }
    }

    /// What a plugin is allowed for `settings`, which are `given` with the defaults filled in.
    pub fn settle(self, descriptor: &Descriptor, given: &Value, settings: Value) -> CarriedGrants {
        match self {
            Self::Requested => {
                let names = |stated: &Permission| stated.settings().is_ok_and(|names| !names.is_empty());
                let agreed = descriptor.asks().into_iter().filter(names).collect();
                CarriedGrants { granted: descriptor.requests(&settings), agreed, settings }
            }
            // Values that somebody wrote down are the bounds, and no text over settings was agreed to.
            Self::File(grants) => CarriedGrants { granted: grants.permissions, agreed: Vec::new(), settings },
            Self::Carried(held) => held.follow(descriptor, given, settings),
        }
    }
}

impl CarriedGrants {
    /// The same for other settings: a permission goes where the operator now says, if it was granted in the plugin's own
    /// words, is still stated in them, and each of its values that differs was given.
    fn follow(self, descriptor: &Descriptor, given: &Value, settings: Value) -> Self {
        let stated = descriptor.asks();
        // In other words it may be about another setting that only had the same value.
        let agreed: Vec<Permission> = self.agreed.into_iter().filter(|held| stated.contains(held)).collect();
        // What a default says, or follows from other settings by it, the plugin has said: another version of it, or a
        // setting left out, would lead elsewhere.
        let chosen =
            |name: &String| self.settings.get(name) == settings.get(name) || given.get(name).is_some();
        let (mut left, mut reached) = (Vec::new(), Vec::new());
        for held in &agreed {
            let before = held.with_settings(&self.settings).filter(|before| self.granted.contains(before));
            if let Some(before) = before
                && held.settings().is_ok_and(|names| names.iter().all(chosen))
            {
                reached.extend(held.with_settings(&settings));
                left.push(before);
            }
        }
        // As it stands: in another order it would be another plan, and a second apply writes nothing.
        if left == reached {
            return Self { settings, agreed, ..self };
        }
        let mut granted = descriptor.requests(&settings);
        granted.retain(|asked| self.granted.contains(asked) || reached.contains(asked));
        let mut others = self.granted;
        others.retain(|held| !left.contains(held) && !granted.contains(held));
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
        .unwrap()
    }

    fn installed(stated: &[Permission], settings: &Value) -> CarriedGrants {
        GrantPolicy::Requested.settle(&stating(stated), settings, settings.clone())
    }

    /// What is granted when nobody says anything but `given`, of which `settings` are made.
    fn then(held: &CarriedGrants, stated: &[Permission], given: &Value, settings: &Value) -> Vec<Permission> {
        GrantPolicy::Carried(held.clone()).settle(&stating(stated), given, settings.clone()).granted
    }

    #[test]
    fn a_permission_follows_the_setting_that_the_operator_gives_and_lets_go_of_where_it_led() {
        let stated =
            [connect("https://always"), connect("${url}"), Permission::CopySecret("${secret}".into())];
        let before = json!({"url": "https://a", "secret": "default/a"});
        let now = json!({"url": "https://b", "secret": "default/a"});
        let granted = then(&installed(&stated, &before), &stated, &json!({"url": "https://b"}), &now);
        assert_eq!(granted, stating(&stated).requests(&now));
        assert!(!granted.contains(&connect("https://a")), "{granted:?}");
    }

    #[test]
    fn it_goes_on_following_from_one_apply_to_the_next() {
        let stated = [connect("${url}")];
        let mut held = installed(&stated, &json!({"url": "https://a"}));
        for url in ["https://b", "https://a", "https://c"] {
            let settings = json!({ "url": url });
            held = GrantPolicy::Carried(held).settle(&stating(&stated), &settings, settings.clone());
            assert_eq!(held.granted, [connect(url)]);
        }
    }

    #[test]
    fn a_default_is_not_followed_wherever_it_leads() {
        let stated = [connect("${url}"), connect("https://${host}")];
        let held = installed(&stated, &json!({"domain": "a", "url": "https://a", "host": "x.a"}));
        // Of a newer plugin; of the same one, for a setting that was given and is left out; of another domain.
        let now = json!({"domain": "b", "url": "https://elsewhere", "host": "x.b"});
        assert_eq!(then(&held, &stated, &json!({"domain": "b"}), &now), held.granted);
    }

    #[test]
    fn it_follows_only_if_every_value_that_differs_was_given() {
        let stated = [connect("https://${host}:${port}")];
        let held = installed(&stated, &json!({"host": "a", "port": 1}));
        let given = json!({"host": "b"});
        assert_eq!(then(&held, &stated, &given, &json!({"host": "b", "port": 2})), held.granted);
        let followed = then(&held, &stated, &given, &json!({"host": "b", "port": 1}));
        assert_eq!(followed, [connect("https://b:1")]);
    }

    #[test]
    fn another_setting_that_only_had_the_same_value_leads_nowhere() {
        let before = json!({"url": "https://a", "homepage": "https://a"});
        let held = installed(&[connect("${url}")], &before);
        let stated = [connect("${homepage}")];
        let newer = GrantPolicy::Carried(held).settle(&stating(&stated), &json!({}), before);
        assert_eq!(newer.granted, [connect("https://a")]);
        // Nor one apply later, when what is granted is what is asked for.
        let now = json!({"url": "https://a", "homepage": "https://b"});
        assert_eq!(then(&newer, &stated, &json!({"homepage": "https://b"}), &now), newer.granted);
    }

    #[test]
    fn what_was_once_agreed_to_and_is_no_longer_stated_is_not_taken_up_again() {
        let held = installed(&[connect("${url}")], &json!({"url": "https://a"}));
        let without =
            GrantPolicy::Carried(held).settle(&stating(&[]), &json!({}), json!({"url": "https://a"}));
        assert_eq!(
            (without.granted.as_slice(), without.agreed.as_slice()),
            (&[connect("https://a")][..], &[][..])
        );
        let now = json!({"url": "https://b"});
        assert_eq!(then(&without, &[connect("${url}")], &now, &now), without.granted);
    }

    #[test]
    fn values_that_somebody_wrote_down_stay_the_bounds() {
        let stated = [connect("${url}")];
        let before = json!({"url": "https://a"});
        let only = GrantPolicy::File(Grants { permissions: vec![connect("https://a")] });
        let held = only.settle(&stating(&stated), &before, before.clone());
        let now = json!({"url": "https://b"});
        assert_eq!(then(&held, &stated, &now, &now), [connect("https://a")]);
    }

    #[test]
    fn what_was_not_granted_is_not_granted_elsewhere_either() {
        let stated = [connect("${url}"), connect("${mirror}")];
        let mut held = installed(&stated, &json!({"url": "https://a", "mirror": "https://m"}));
        held.granted.retain(|granted| *granted != connect("https://m"));
        let now = json!({"url": "https://a", "mirror": "https://n"});
        assert_eq!(then(&held, &stated, &now, &now), [connect("https://a")]);
    }

    #[test]
    fn where_something_else_leads_too_it_is_not_let_go_of() {
        let before = json!({"url": "https://a", "mirror": "https://a"});
        let now = json!({"url": "https://b", "mirror": "https://a"});
        for other in [connect("${mirror}"), connect("https://a")] {
            let stated = [connect("${url}"), other];
            let granted = then(&installed(&stated, &before), &stated, &now, &now);
            assert_eq!(granted, [connect("https://b"), connect("https://a")]);
        }
    }

    #[test]
    fn what_a_setting_turns_off_goes_and_what_it_turns_on_must_be_granted() {
        let stated = [connect("https://always"), connect("${on:if}https://a"), connect("${optional}")];
        let (off, on) = (json!({"on": false}), json!({"on": true}));
        assert_eq!(then(&installed(&stated, &on), &stated, &off, &off), [connect("https://always")]);
        let on = json!({"on": true, "optional": "https://b"});
        assert_eq!(then(&installed(&stated, &off), &stated, &on, &on), [connect("https://always")]);
    }

    #[test]
    fn without_another_value_everything_is_held_in_its_order() {
        let settings = json!({"url": "https://a"});
        let mut held = installed(&[connect("https://always"), connect("${url}")], &settings);
        let newer = [connect("${url}"), connect("https://more"), connect("https://always")];
        assert_eq!(then(&held, &newer, &settings, &settings), held.granted);
        held.agreed.clear();
        assert_eq!(then(&held, &newer, &settings, &settings), held.granted);
    }
}
