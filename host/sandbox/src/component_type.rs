//! The type of a component, checked before any of its code runs: header, imports and exports.

use crate::error::Error;
use crate::output::line;
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

/// The versions of the contract that this host supports. Each has a folder under `wit/`.
pub(crate) const CONTRACTS: &[&str] = &["0.1.0"];

/// The interfaces of WASI 0.2 that the host links. Standard libraries import them even if the plugin does not use them; the
/// host denies their effects.
const WASI: &[&str] = &[
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasi:sockets/instance-network",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/network",
    "wasi:sockets/tcp",
    "wasi:sockets/tcp-create-socket",
    "wasi:sockets/udp",
    "wasi:sockets/udp-create-socket",
];

const LIFECYCLE: &str = "thinkube:plugin/lifecycle";
const LOG: &str = "thinkube:plugin/log";
const REBUILD: &str = "export the interfaces of wit/0.1.0 and build for wasm32-wasip2";

/// An optional interface that a plugin exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Capability {
    /// `thinkube:plugin/checks`.
    Checks,
    /// `thinkube:plugin/workstation`.
    Workstation,
    /// `thinkube:plugin/operations`.
    Operations,
}

impl Capability {
    pub(crate) const ALL: [Self; 3] = [Self::Checks, Self::Workstation, Self::Operations];

    /// The interface without its version.
    pub(crate) fn interface(self) -> &'static str {
        match self {
            Self::Checks => "thinkube:plugin/checks",
            Self::Workstation => "thinkube:plugin/workstation",
            Self::Operations => "thinkube:plugin/operations",
        }
    }
}

/// What the type of a component states.
#[derive(Debug)]
pub(crate) struct ComponentType {
    pub(crate) contract: &'static str,
    pub(crate) imports: Vec<String>,
    pub(crate) capabilities: Vec<Capability>,
}

/// Checks the first eight bytes: magic number, version and layer (component model, Binary.md).
pub(crate) fn check_header(bytes: &[u8]) -> Result<(), Error> {
    let (found, advice) = match bytes {
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => return Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => (
            "it is a core module",
            Some("build it for wasm32-wasip2, or convert it with `wasm-tools component new`"),
        ),
        [0, b'a', b's', b'm', ..] => ("it is WebAssembly of an unknown version", None),
        [] => ("the file is empty", None),
        [b'(', ..] => ("it is WebAssembly text", Some("build the binary form")),
        [0x7f, b'E', b'L', b'F', ..] => {
            ("it is an ELF file: a program or a compiled component", Some("give the .wasm file"))
        }
        _ => ("it does not begin with `\\0asm`", None),
    };
    Err(Error::NotAComponent { found, advice })
}

impl ComponentType {
    /// Reads and checks the type of `component`.
    ///
    /// # Errors
    /// [`Error::UnsupportedContract`], [`Error::WrongWorld`].
    pub(crate) fn of(engine: &Engine, component: &Component) -> Result<Self, Error> {
        let of = component.component_type();
        let exports: Vec<&str> = of.exports(engine).map(|(name, _)| name).collect();
        let versions: Vec<&str> = exports.iter().filter_map(|export| version_of(export, LIFECYCLE)).collect();
        let Some(contract) = CONTRACTS.iter().find(|contract| versions.contains(contract)) else {
            return Err(match versions.first() {
                Some(found) => Error::UnsupportedContract { found: line(found), supported: CONTRACTS },
                None => Error::WrongWorld {
                    fault: format!("it lacks the export {LIFECYCLE}@{}", CONTRACTS[0]),
                    advice: REBUILD,
                },
            });
        };

        let imports = imports(engine, &of, contract)?;
        let exports_interface =
            |name: &str| exports.iter().any(|export| version_of(export, name) == Some(contract));
        let capabilities = Capability::ALL
            .into_iter()
            .filter(|capability| exports_interface(capability.interface()))
            .collect();
        Ok(Self { contract, imports, capabilities })
    }
}

/// The interfaces from which the component imports functions or resources, sorted.
fn imports(
    engine: &Engine,
    of: &wasmtime::component::types::Component,
    contract: &str,
) -> Result<Vec<String>, Error> {
    let mut imports = Vec::new();
    for (name, import) in of.imports(engine) {
        let types_only = match &import.ty {
            ComponentItem::ComponentInstance(instance) => {
                instance.exports(engine).all(|(_, item)| matches!(item.ty, ComponentItem::Type(_)))
            }
            item => matches!(item, ComponentItem::Type(_)),
        };
        if types_only {
            continue;
        }
        if let Some(advice) = refused(name, contract) {
            return Err(Error::WrongWorld {
                fault: format!("it imports {}, which this host does not offer", line(name)),
                advice,
            });
        }
        imports.push(name.to_owned());
    }
    imports.sort();
    Ok(imports)
}

/// The version of `export`, if it is the interface `name`.
fn version_of<'a>(export: &'a str, name: &str) -> Option<&'a str> {
    export.strip_prefix(name)?.strip_prefix('@')
}

/// The advice about an import that the host does not offer. None if the host offers it.
fn refused(import: &str, contract: &str) -> Option<&'static str> {
    let (name, version) = import.split_once('@').unwrap_or((import, ""));
    if name == LOG {
        return (version != contract).then_some(REBUILD);
    }
    let known = WASI.contains(&name);
    match () {
        () if known && (version == "0.2" || version.starts_with("0.2.")) => None,
        () if known || name.starts_with("wasi:") && version.starts_with("0.3") => {
            Some("a plugin is built for WASI 0.2 (wasm32-wasip2)")
        }
        () if name.starts_with("wasi:http/") => Some(
            "a plugin has no network: build it without HTTP (for JavaScript: disable the features `http` and \
             `fetch-event`) and ask for facts instead",
        ),
        () if name.starts_with("wasi:") => {
            Some("a plugin may import only wasi:cli, clocks, filesystem, io, random and sockets")
        }
        () => Some("a plugin may import only WASI 0.2 and thinkube:plugin/log"),
    }
}

/// The error of a component whose exports or imports have the right names and the wrong types.
pub(crate) fn wrong_types(error: &wasmtime::Error) -> Error {
    Error::WrongWorld { fault: line(&format!("{error:#}")), advice: REBUILD }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_a_component_are_distinguished() {
        for (bytes, expected) in [
            (&b"\0asm\x01\0\0\0"[..], "core module"),
            (b"\0asm\x07\0\x01\0", "version"),
            (b"\0asm", "version"),
            (b"", "empty"),
            (b"(component)", "text"),
            (b"\x7fELF\x02", "ELF"),
            (b"apiVersion: v1", "does not begin"),
        ] {
            match check_header(bytes) {
                Err(Error::NotAComponent { found, .. }) => assert!(found.contains(expected), "{found}"),
                other => panic!("{bytes:?}: {other:?}"),
            }
        }
        assert!(check_header(b"\0asm\x0d\0\x01\0").is_ok());
    }

    #[test]
    fn only_wasi_0_2_and_the_log_may_be_imported() {
        for import in ["wasi:cli/stderr@0.2.0", "wasi:io/streams@0.2.12", "thinkube:plugin/log@0.1.0"] {
            assert_eq!(refused(import, "0.1.0"), None, "{import}");
        }
        for (import, advice) in [
            ("wasi:http/types@0.2.10", "no network"),
            ("wasi:cli/stdout@0.3.0", "WASI 0.2"),
            ("wasi:cli/stdout@0.20.0", "WASI 0.2"),
            ("wasi:cli/stdout", "WASI 0.2"),
            ("wasi:nn/tensor@0.2.0-rc", "only wasi:cli"),
            ("thinkube:plugin/log@0.2.0", "wit/0.1.0"),
            ("thinkube:plugin/logs@0.1.0", "only WASI 0.2"),
            ("acme:secrets/read@1.0.0", "only WASI 0.2"),
            ("environment", "only WASI 0.2"),
        ] {
            let found = refused(import, "0.1.0").unwrap_or_else(|| panic!("{import} is offered"));
            assert!(found.contains(advice), "{import}: {found}");
        }
    }
}
