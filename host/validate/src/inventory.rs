//! The settings of one plugin in the inventory of a platform: an Ansible file with the variables of many components.

mod limits;
mod template;
#[cfg(test)]
mod tests;
mod yaml;

pub use limits::FILE_BYTES as INVENTORY_BYTES;

use crate::settings::{SettingFault, SettingsSchema};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use template::{Piece, Unfit};
use thinkube_plan::nearest;
use yaml::{Entry, Node};

/// The variables of inventory files.
#[derive(Debug, Default)]
pub struct Inventory {
    /// Each variable with its values: more than one if several groups of hosts have it.
    variables: BTreeMap<String, Vec<Given>>,
}

#[derive(Debug)]
struct Given {
    place: Location,
    value: Node,
}

/// A line of an inventory file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file, as the operator named it.
    pub file: String,
    /// The line, counted from 1.
    pub line: u64,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// What is wrong with an inventory. It has names and lines, never a value: a value may be a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InventoryFault {
    /// The line.
    pub place: Location,
    /// What is wrong, and what to do.
    pub message: String,
}

impl fmt::Display for InventoryFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// The settings of a plugin in an inventory, and what became of its other variables.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InventorySettings {
    /// The settings of the plugin.
    #[serde(skip)]
    pub settings: Map<String, Value>,
    /// The names of these settings.
    pub taken: Vec<String>,
    /// Settings that the operator gave in another way, which wins.
    pub overridden: Vec<String>,
    /// Settings that the plugin accepts without effect.
    pub without_effect: Vec<String>,
    /// Variables of other components.
    pub foreign: Vec<String>,
}

impl InventorySettings {
    /// The number of variables of the inventory.
    pub fn variables(&self) -> usize {
        self.taken.len() + self.overridden.len() + self.without_effect.len() + self.foreign.len()
    }
}

impl Inventory {
    /// Adds the variables of a file; they replace those of earlier files. `name` names the file in faults.
    ///
    /// # Errors
    /// What is wrong with the file as a whole.
    pub fn add(&mut self, name: &str, text: &str) -> Result<(), InventoryFault> {
        let place = |line| Location { file: name.to_owned(), line };
        let fault = |(line, message)| InventoryFault { place: place(line), message };
        let entries = match yaml::read(text).map_err(fault)? {
            Node::Map(entries) => entries,
            Node::Scalar(Value::Null) => Vec::new(),
            _ => return Err(fault((1, "an inventory must be a mapping of names to values".to_owned()))),
        };
        let mut found = Vec::new();
        if let Some(group) = entries.iter().find(|entry| is_group(&entry.value)) {
            let beside = format!("stands beside `{}`, which is a group of hosts,", shown(&group.name));
            groups(entries, &beside, &mut found).map_err(fault)?;
        } else {
            found = entries;
        }
        let mut added: BTreeMap<String, Vec<Given>> = BTreeMap::new();
        for Entry { name, line, value } in found {
            added.entry(name).or_default().push(Given { place: place(line), value });
        }
        self.variables.extend(added);
        Ok(())
    }

    /// The settings of the plugin called `plugin`. `given` are settings from another source: they win, in templates too.
    ///
    /// # Errors
    /// Every variable that resembles a setting of the plugin, every variable that the plugin needs and that cannot be resolved,
    /// and every setting that the schema refuses. Values of other components are never read.
    pub fn settings_for(
        &self,
        plugin: &str,
        schema: &SettingsSchema,
        given: &Map<String, Value>,
    ) -> Result<InventorySettings, Vec<InventoryFault>> {
        let mut taken = InventorySettings::default();
        let mut faults = Vec::new();
        let mut resolver = Resolver { inventory: self, schema, given, known: BTreeMap::new() };
        for (name, places) in &self.variables {
            if !schema.has(name) {
                faults.extend(self.misspelt(plugin, schema, given, name, &places[0].place));
                taken.foreign.push(name.clone());
            } else if given.contains_key(name) {
                taken.overridden.push(name.clone());
            } else if schema.is_unused(name) {
                taken.without_effect.push(name.clone());
            } else {
                match resolver.variable(name, &mut Vec::new()) {
                    Ok(value) => {
                        taken.settings.insert(name.clone(), schema.read_inventory(name, value));
                        taken.taken.push(name.clone());
                    }
                    Err(fault) => faults.push(fault.of(name)),
                }
            }
        }
        if faults.is_empty() {
            faults = self.invalid(schema, given, &taken.settings);
        }
        if faults.is_empty() { Ok(taken) } else { Err(faults) }
    }

    /// The settings that the schema refuses, without their values: a template may have put a password into one.
    fn invalid(
        &self,
        schema: &SettingsSchema,
        given: &Map<String, Value>,
        taken: &Map<String, Value>,
    ) -> Vec<InventoryFault> {
        let refused = schema.masked_faults(given, taken);
        let fault = |(name, fault): (String, SettingFault)| InventoryFault {
            place: self.variables[&name][0].place.clone(),
            message: format!(
                "`{}`: {}; give the setting itself with --set {name}=VALUE",
                fault.path.trim_start_matches('/'),
                fault.message
            ),
        };
        refused.into_iter().map(fault).collect()
    }

    /// The fault of a foreign variable that was probably meant to be a setting of the plugin.
    fn misspelt(
        &self,
        plugin: &str,
        schema: &SettingsSchema,
        given: &Map<String, Value>,
        name: &str,
        place: &Location,
    ) -> Option<InventoryFault> {
        let fault = |message: String| Some(InventoryFault { place: place.clone(), message });
        let name = shown(name);
        if name.starts_with(&format!("{}_", plugin.replace('-', "_"))) {
            let near = nearest(&name, schema.names()).map(|near| format!("; did you mean `{near}`?"));
            let hint = near.unwrap_or_else(|| "; `thinkube-host inspect` lists the settings".to_owned());
            return fault(format!(
                "`{name}` begins like a variable of {plugin}, which has no such setting{hint}"
            ));
        }
        let is_given = |near: &str| self.variables.contains_key(near) || given.contains_key(near);
        let near =
            schema.names().find(|near| !is_given(near) && !schema.is_unused(near) && is_near(&name, near))?;
        fault(format!(
            "`{name}` resembles the setting `{near}`, which is not given; correct the name, or give {near} too"
        ))
    }
}

/// Long names that resemble each other are probably mistyped.
fn is_near(name: &str, setting: &str) -> bool {
    let edits = if setting.len() < 20 { 1 } else { 2 };
    name.len().abs_diff(setting.len()) <= edits && strsim::osa_distance(name, setting) <= edits
}

/// A name of the file, cut to fit a line.
fn shown(name: &str) -> String {
    name.chars().take(80).collect()
}

/// A group of hosts in Ansible's own format: nothing but `vars`, `hosts` and `children`.
fn is_group(node: &Node) -> bool {
    let Node::Map(entries) = node else { return false };
    let parts = ["vars", "hosts", "children"];
    let is_mapping = |value: &Node| matches!(value, Node::Map(_) | Node::Scalar(Value::Null));
    !entries.is_empty()
        && entries.iter().all(|entry| parts.contains(&entry.name.as_str()) && is_mapping(&entry.value))
}

/// `among` names the siblings in the fault of an entry that is not a group.
fn groups(entries: Vec<Entry>, among: &str, found: &mut Vec<Entry>) -> Result<(), (u64, String)> {
    for Entry { name, line, value } in entries {
        match value {
            value if is_group(&value) => group(value, found)?,
            Node::Scalar(Value::Null) => {}
            _ => {
                let rule = "a group holds vars, hosts and children, and nothing else";
                return Err((line, format!("`{}` {among} and is not a group: {rule}", shown(&name))));
            }
        }
    }
    Ok(())
}

fn group(node: Node, found: &mut Vec<Entry>) -> Result<(), (u64, String)> {
    let Node::Map(parts) = node else { return Ok(()) };
    for Entry { name, value, .. } in parts {
        let Node::Map(entries) = value else { continue };
        match name.as_str() {
            "vars" => found.extend(entries),
            "children" => groups(entries, "is one of the children of a group", found)?,
            _ => {
                for host in entries {
                    if let Node::Map(entries) = host.value {
                        found.extend(entries);
                    }
                }
            }
        }
    }
    Ok(())
}

/// Resolves variables and their templates, each variable once.
struct Resolver<'a> {
    inventory: &'a Inventory,
    schema: &'a SettingsSchema,
    given: &'a Map<String, Value>,
    known: BTreeMap<&'a str, Result<Value, Fault>>,
}

/// The fault of a variable that another variable may need.
#[derive(Clone)]
struct Fault {
    variable: String,
    place: Location,
    message: String,
}

impl Fault {
    /// The fault for the setting that needs the variable.
    fn of(self, setting: &str) -> InventoryFault {
        let Self { variable, place, message } = self;
        let needed = if variable == setting {
            format!("`{setting}`")
        } else {
            format!("`{}`, which `{setting}` needs,", shown(&variable))
        };
        let hint = format!("; give the setting itself with --set {setting}=VALUE");
        InventoryFault { place, message: format!("{needed} {message}{hint}") }
    }
}

impl<'a> Resolver<'a> {
    fn variable(&mut self, name: &str, above: &mut Vec<String>) -> Result<Value, Fault> {
        if let Some(value) = self.given.get(name) {
            return Ok(value.clone());
        }
        let inventory = self.inventory;
        let Some((name, places)) = inventory.variables.get_key_value(name) else {
            // The first variable is one of the inventory, so a variable that names this one exists.
            let asking = above.last().map_or(name, String::as_str);
            return Err(Fault {
                variable: asking.to_owned(),
                place: inventory.variables[asking][0].place.clone(),
                message: format!("names `{}`, which the inventory does not have", shown(name)),
            });
        };
        let place = &places[0].place;
        let fault = |message: String| Fault { variable: name.clone(), place: place.clone(), message };
        // Settings are shown and recorded anyway, whatever their names.
        let setting = self.schema.has(name) && !self.schema.is_unused(name);
        if !above.is_empty() && !setting && is_secret(name) {
            return Err(fault("looks like a password, and settings are shown and recorded".to_owned()));
        }
        if let Some(known) = self.known.get(name.as_str()) {
            return known.clone();
        }
        if let Some(other) = places.iter().find(|other| other.value != places[0].value) {
            return Err(fault(format!("has another value at {}", other.place)));
        }
        if above.contains(name) {
            return Err(fault(format!("follows from itself: {}", cycle(above, name))));
        }
        if above.len() >= limits::TEMPLATE_DEPTH {
            return Err(fault(format!("is the end of more than {} templates", limits::TEMPLATE_DEPTH)));
        }
        above.push(name.clone());
        let value = self.node(&places[0].value, &fault, above);
        above.pop();
        self.known.insert(name, value.clone());
        value
    }

    fn node(
        &mut self,
        node: &Node,
        fault: &dyn Fn(String) -> Fault,
        above: &mut Vec<String>,
    ) -> Result<Value, Fault> {
        match node {
            Node::Scalar(Value::String(text)) => self.text(text, fault, above),
            Node::Scalar(value) => Ok(value.clone()),
            Node::List(list) => {
                let (mut filled, mut room) = (Vec::new(), Room::new());
                for node in list {
                    filled.push(room.take(self.node(node, fault, above)?, fault)?);
                }
                Ok(Value::Array(filled))
            }
            Node::Map(entries) => {
                let (mut filled, mut room) = (Map::new(), Room::new());
                for Entry { name, value, .. } in entries {
                    filled.insert(name.clone(), room.take(self.node(value, fault, above)?, fault)?);
                }
                Ok(Value::Object(filled))
            }
        }
    }

    fn text(
        &mut self,
        text: &str,
        fault: &dyn Fn(String) -> Fault,
        above: &mut Vec<String>,
    ) -> Result<Value, Fault> {
        if text.trim_start().starts_with("$ANSIBLE_VAULT;") {
            return Err(fault("is encrypted by Ansible Vault, which the host does not read".to_owned()));
        }
        let pieces = template::parse(text).map_err(|Unfit| {
            fault(
                "has a template with a filter, an expression or a statement; only {{ NAME }} is supported"
                    .to_owned(),
            )
        })?;
        if let [Piece::Variable(name)] = pieces[..] {
            return self.variable(name, above);
        }
        let mut filled = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Variable(name) => match self.variable(name, above)? {
                    Value::String(text) => filled.push_str(&text),
                    Value::Number(number) => filled.push_str(&number.to_string()),
                    _ => {
                        return Err(fault(format!(
                            "puts `{}` into text, but its value is neither text nor a number",
                            shown(name)
                        )));
                    }
                },
            }
            if filled.len() > limits::VALUE_BYTES {
                return Err(fault(too_long()));
            }
        }
        Ok(Value::String(filled))
    }
}

/// The bytes that a list or a mapping may still grow by.
struct Room(usize);

impl Room {
    fn new() -> Self {
        Self(limits::VALUE_BYTES)
    }

    fn take(&mut self, value: Value, fault: &dyn Fn(String) -> Fault) -> Result<Value, Fault> {
        self.0 = self.0.checked_sub(value.to_string().len()).ok_or_else(|| fault(too_long()))?;
        Ok(value)
    }
}

fn too_long() -> String {
    format!("is longer than {} KiB with its templates filled in", limits::VALUE_BYTES >> 10)
}

fn cycle(above: &[String], name: &str) -> String {
    let begin = above.iter().position(|one| one == name).unwrap_or_default();
    let names: Vec<String> = above[begin..].iter().map(String::as_str).chain([name]).map(shown).collect();
    names.join(" → ")
}

/// Whether a variable of this name holds a password, token or key. `tls_secret_name` and the like hold names.
fn is_secret(name: &str) -> bool {
    let words = words(name);
    let Some(end) = words.last() else { return false };
    if ["name", "namespace", "path", "file", "url", "username"].contains(&end.as_str()) {
        return false;
    }
    let within = ["password", "passwd", "passphrase", "token", "apikey"];
    let alone = ["pass", "pw", "credential", "credentials", "secret"];
    words.iter().any(|word| within.iter().any(|part| word.contains(part)) || alone.contains(&word.as_str()))
        || words.len() > 1 && end == "key"
}

/// The words of `admin_password2` or `adminPassword2`, in lower case without numbers.
fn words(name: &str) -> Vec<String> {
    let mut split = String::new();
    let mut previous = '_';
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !previous.is_ascii_uppercase() {
            split.push('_');
        }
        split.push(letter.to_ascii_lowercase());
        previous = letter;
    }
    let word = |word: &str| word.trim_end_matches(|last: char| last.is_ascii_digit()).to_owned();
    split.split('_').map(word).filter(|word| !word.is_empty()).collect()
}
