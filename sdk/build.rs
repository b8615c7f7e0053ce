//! Encodes the worlds of the optional interfaces that speak of `lifecycle`.
//!
//! The linker unites the worlds that a plugin's code carries. wit-bindgen carries the very world that it generates code
//! for: one with such an interface alone *imports* `lifecycle`, which a plugin exports, so that no union is possible; and
//! code for one that exports both cannot be generated beside that of the world that every plugin has.

use std::error::Error;
use std::path::Path;
use wit_component::StringEncoding;
use wit_parser::Resolve;

const CONTRACT: &str = "../wit/0.1.0";
const INTERFACES: [&str; 1] = ["workstation"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={CONTRACT}");
    let folder = std::env::var("OUT_DIR")?;
    for interface in INTERFACES {
        let mut resolve = Resolve::default();
        resolve.push_path(CONTRACT)?;
        let world = format!(
            "package thinkube:sdk; world {interface} {{
                include thinkube:plugin/plugin@0.1.0;
                export thinkube:plugin/{interface}@0.1.0;
            }}"
        );
        let package = resolve.push_str(interface, &world)?;
        let world = resolve.select_world(&[package], Some(interface))?;
        let encoded = wit_component::metadata::encode(&resolve, world, StringEncoding::UTF8, None)?;
        std::fs::write(Path::new(&folder).join(interface), encoded)?;
    }
    Ok(())
}
