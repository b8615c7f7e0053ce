//! What wit-bindgen makes of the contract. Authors use the re-exports of the crate root, so that wit-bindgen can
//! change without a change to any plugin.

// The generated code lowers and lifts values over the component boundary by raw pointers, and the world below it
// that does so is not ours to write. Nothing else in this crate may.
#![allow(unsafe_code, unreachable_pub, missing_docs, clippy::all)]

/// The world every plugin has.
pub mod plugin {
    wit_bindgen::generate!({
        path: "../wit/0.1.0",
        world: "thinkube:plugin/plugin@0.1.0",
        additional_derives: [PartialEq, Eq],
        pub_export_macro: true,
        export_macro_name: "export_lifecycle",
        default_bindings_module: "thinkube_sdk::bindings::plugin",
    });
}

/// `checks` alone. The linker unites worlds, so a plugin exports it beside the one above and shares its types.
pub mod checks {
    wit_bindgen::generate!({
        inline: "package thinkube:sdk; world checks { export thinkube:plugin/checks@0.1.0; }",
        path: "../wit/0.1.0",
        world: "thinkube:sdk/checks",
        additional_derives: [PartialEq, Eq],
        pub_export_macro: true,
        export_macro_name: "export_checks",
        default_bindings_module: "thinkube_sdk::bindings::checks",
    });
}

/// `operations` alone, with the types of the world above.
pub mod operations {
    wit_bindgen::generate!({
        inline: "package thinkube:sdk; world operations { export thinkube:plugin/operations@0.1.0; }",
        path: "../wit/0.1.0",
        world: "thinkube:sdk/operations",
        with: {
            "thinkube:plugin/types@0.1.0": crate::bindings::plugin::thinkube::plugin::types,
            "thinkube:plugin/plan@0.1.0": crate::bindings::plugin::thinkube::plugin::plan,
        },
        additional_derives: [PartialEq, Eq],
        pub_export_macro: true,
        export_macro_name: "export_operations",
        default_bindings_module: "thinkube_sdk::bindings::operations",
    });
}

/// `workstation` alone, with the types of the world above.
pub mod workstation {
    wit_bindgen::generate!({
        inline: "package thinkube:sdk; world workstation { export thinkube:plugin/workstation@0.1.0; }",
        path: "../wit/0.1.0",
        world: "thinkube:sdk/workstation",
        with: {
            "thinkube:plugin/types@0.1.0": crate::bindings::plugin::thinkube::plugin::types,
        },
        additional_derives: [PartialEq, Eq],
        pub_export_macro: true,
        export_macro_name: "export_workstation",
        default_bindings_module: "thinkube_sdk::bindings::workstation",
    });
}
