//! The bindings that `bindgen!` generates from the contract.

/// Every interface that a plugin may export. The sandbox loads each exported interface by itself.
pub(crate) mod plugin {
    wasmtime::component::bindgen!({
        path: "../../wit/0.1.0",
        inline: "
            package thinkube:host;
            world everything {
                include thinkube:plugin/plugin@0.1.0;
                export thinkube:plugin/checks@0.1.0;
                export thinkube:plugin/workstation@0.1.0;
                export thinkube:plugin/operations@0.1.0;
            }
        ",
        world: "thinkube:host/everything",
        imports: { default: async | trappable },
        exports: { default: async },
    });
}

pub(crate) use plugin::exports::thinkube::plugin::{checks, lifecycle, operations, workstation};
pub(crate) use plugin::thinkube::plugin::{log, plan, types};
