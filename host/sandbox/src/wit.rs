//! What `bindgen!` makes of the contract.

/// The world that every plugin has.
pub(crate) mod plugin {
    wasmtime::component::bindgen!({
        path: "../../wit/0.1.0",
        world: "thinkube:plugin/plugin",
        imports: { default: async | trappable },
        exports: { default: async },
    });
}

/// The optional `checks`.
pub(crate) mod checks {
    wasmtime::component::bindgen!({
        path: "../../wit/0.1.0",
        inline: "
            package thinkube:host;
            world evaluates {
                export thinkube:plugin/checks@0.1.0;
            }
        ",
        world: "thinkube:host/evaluates",
        exports: { default: async },
    });
}

/// The optional `operations`, with the types of the world that every plugin has.
pub(crate) mod operations {
    wasmtime::component::bindgen!({
        path: "../../wit/0.1.0",
        inline: "
            package thinkube:host;
            world operates {
                export thinkube:plugin/operations@0.1.0;
            }
        ",
        world: "thinkube:host/operates",
        exports: { default: async },
        with: {
            "thinkube:plugin/types": crate::wit::plugin::thinkube::plugin::types,
            "thinkube:plugin/plan": crate::wit::plugin::thinkube::plugin::plan,
        },
    });
}

pub(crate) use plugin::exports::thinkube::plugin::lifecycle;
pub(crate) use plugin::thinkube::plugin::{log, plan, types};
