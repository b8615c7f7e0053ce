//! The code that wit-bindgen generates from the contract. Plugins use the re-exports of the crate root instead, so that
//! wit-bindgen can change without a change to any plugin.

// The generated code passes values over the component boundary by raw pointers. No other module may be unsafe.
#![allow(unsafe_code, unreachable_pub, missing_docs, clippy::all)]

/// The world of every plugin.
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

/// The optional interface `checks`. The linker merges worlds, so a plugin can export it beside the world above.
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

/// The optional interface `operations`, with the types of the world above.
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

/// The optional interface `workstation`, with the types of the world above.
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
