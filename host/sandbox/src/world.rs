//! What a component is, judged before anything of it runs: its header, its imports, its exports.

use crate::error::Error;
use crate::sandbox::Capability;
use crate::text;
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

/// The versions of the contract that this host speaks. Each has a folder under `wit/`.
pub(crate) const CONTRACTS: &[&str] = &["0.1.0"];

/// The interfaces of WASI 0.2 that are linked, denied and deterministic. Standard libraries import them whether a
/// plugin uses them or not.
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

/// What a component's type says.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) contract: &'static str,
    pub(crate) imports: Vec<String>,
    pub(crate) capabilities: Vec<Capability>,
}

/// Reads the first eight bytes (component model, Binary.md: magic, version, layer).
pub(crate) fn check_header(bytes: &[u8]) -> Result<(), Error> {
    let found = match bytes {
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => return Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => {
            "it is a core module; build it for wasm32-wasip2, or make a component of it with \
             `wasm-tools component new`"
        }
        [0, b'a', b's', b'm', ..] => "it is WebAssembly of a version that this host does not know",
        [] => "the file is empty",
        [b'(', ..] => "it is WebAssembly text; build the binary form",
        [0x7f, b'E', b'L', b'F', ..] => {
            "it is an ELF file, a program or a compiled component; give the .wasm file"
        }
        _ => "it does not begin with `\\0asm`",
    };
    Err(Error::NotAComponent { found })
}

impl World {
    /// Judges the type of `component`.
    pub(crate) fn of(engine: &Engine, component: &Component) -> Result<Self, Error> {
        let of = component.component_type();
        let exports: Vec<&str> = of.exports(engine).map(|(name, _)| name).collect();
        let versions: Vec<&str> = exports.iter().filter_map(|export| version_of(export, LIFECYCLE)).collect();
        let Some(contract) = CONTRACTS.iter().find(|contract| versions.contains(contract)) else {
            return Err(match versions.first() {
                Some(found) => Error::UnsupportedContract { found: text::line(found), supported: CONTRACTS },
                None => Error::WrongWorld {
                    fault: format!("it lacks the export {LIFECYCLE}@{}", CONTRACTS[0]),
                    advice: REBUILD,
                },
            });
        };

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
                    fault: format!("it imports {}, which is not offered", text::line(name)),
                    advice,
                });
            }
            imports.push(name.to_owned());
        }
        imports.sort();

        let capabilities = [
            ("thinkube:plugin/checks", Capability::Checks),
            ("thinkube:plugin/workstation", Capability::Workstation),
            ("thinkube:plugin/operations", Capability::Operations),
        ]
        .into_iter()
        .filter(|(name, _)| exports.iter().any(|export| version_of(export, name) == Some(contract)))
        .map(|(_, offer)| offer)
        .collect();
        Ok(Self { contract, imports, capabilities })
    }
}

/// The version of `export`, if it is the interface `name`.
fn version_of<'a>(export: &'a str, name: &str) -> Option<&'a str> {
    export.strip_prefix(name)?.strip_prefix('@')
}

/// What to do about an import that is not offered. None: it is offered.
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
             `fetch-event`); what it needs to know it asks for as facts",
        ),
        () if name.starts_with("wasi:") => {
            Some("a plugin has only wasi:cli, clocks, filesystem, io, random, sockets")
        }
        () => Some("a plugin may import WASI 0.2 and thinkube:plugin/log, nothing else"),
    }
}

/// The exports or imports have the right names and wrong types.
pub(crate) fn does_not_link(error: &wasmtime::Error) -> Error {
    Error::WrongWorld { fault: text::line(&format!("{error:#}")), advice: REBUILD }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_component_are_told_apart() {
        for (bytes, hint) in [
            (&b"\0asm\x01\0\0\0"[..], "core module"),
            (b"\0asm\x07\0\x01\0", "version"),
            (b"\0asm", "version"),
            (b"", "empty"),
            (b"(component)", "text"),
            (b"\x7fELF\x02", "ELF"),
            (b"apiVersion: v1", "does not begin"),
        ] {
            match check_header(bytes) {
                Err(Error::NotAComponent { found }) => assert!(found.contains(hint), "{found}"),
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
            ("thinkube:plugin/logs@0.1.0", "nothing else"),
            ("acme:secrets/read@1.0.0", "nothing else"),
            ("environment", "nothing else"),
        ] {
            let said = refused(import, "0.1.0").unwrap_or_else(|| panic!("{import} is offered"));
            assert!(said.contains(advice), "{import}: {said}");
        }
    }
}
