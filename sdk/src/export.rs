//! Connects the exports of the contract to the traits that an author implements. Only the export macro uses it.

use crate::bindings::checks::exports::thinkube::plugin::checks;
use crate::bindings::operations::exports::thinkube::plugin::operations;
use crate::bindings::plugin::exports::thinkube::plugin::lifecycle;
use crate::bindings::workstation::exports::thinkube::plugin::workstation;
use crate::context::Context;
use crate::contract::{Descriptor, Observation, Operation, Outcome, Problem, Verdict, WorkstationPlan};
use crate::operation::{Arguments, Operations};
use crate::plugin::{Evaluate, Plugin};
use crate::workstation::Workstation;
use std::marker::PhantomData;

/// Implements the generated traits for a plugin.
#[derive(Debug)]
pub struct Adapter<P>(PhantomData<P>);

impl<P: Plugin> lifecycle::Guest for Adapter<P> {
    fn describe() -> Descriptor {
        let mut descriptor = P::describe();
        descriptor.settings_schema = P::settings_schema();
        descriptor
    }

    fn plan_release(context: lifecycle::Context) -> Result<Outcome, Problem> {
        P::plan(&Context::parse(context)?)
    }
}

impl<P: Evaluate> checks::Guest for Adapter<P> {
    fn evaluate(observation: Observation) -> Verdict {
        P::evaluate(observation)
    }
}

impl<P: Operations> operations::Guest for Adapter<P> {
    fn operations() -> Vec<Operation> {
        P::operations()
    }

    fn plan_operation(
        name: String,
        arguments: String,
        context: lifecycle::Context,
    ) -> Result<Outcome, Problem> {
        P::plan_operation(&name, Arguments::new(arguments), &Context::parse(context)?)
    }
}

impl<P: Workstation> workstation::Guest for Adapter<P> {
    fn plan_workstation(context: lifecycle::Context) -> Result<WorkstationPlan, Problem> {
        P::plan_workstation(&Context::parse(context)?)
    }
}

/// Exports a type that implements [`Plugin`](crate::Plugin) as a component. Optional interfaces follow, in any order:
/// `checks` for [`Evaluate`](crate::Evaluate), `operations` for [`Operations`](crate::Operations), `workstation` for
/// [`Workstation`](crate::Workstation). On a native target it exports nothing.
#[macro_export]
macro_rules! export_plugin {
    (@ checks $plugin:ty) => {
        #[cfg(not(target_family = "wasm"))]
        const _: fn($crate::Observation) -> $crate::Verdict = <$plugin as $crate::Evaluate>::evaluate;
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Exported = $crate::Adapter<$plugin>;
            $crate::bindings::checks::export_checks!(Exported with_types_in $crate::bindings::checks);
        };
    };
    (@ operations $plugin:ty) => {
        #[cfg(not(target_family = "wasm"))]
        const _: fn() -> ::std::vec::Vec<$crate::Operation> = <$plugin as $crate::Operations>::operations;
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Exported = $crate::Adapter<$plugin>;
            $crate::bindings::operations::export_operations!(Exported with_types_in $crate::bindings::operations);
        };
    };
    (@ workstation $plugin:ty) => {
        #[cfg(not(target_family = "wasm"))]
        const _: $crate::WorkstationPlanOf<$plugin> = <$plugin as $crate::Workstation>::plan_workstation;
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Exported = $crate::Adapter<$plugin>;
            $crate::bindings::workstation::export_workstation!(
                Exported with_types_in $crate::bindings::workstation
            );
        };
    };
    ($plugin:ty $(, $interface:ident)* $(,)?) => {
        // A native linker rejects the names of the exports. The constant uses the type, so that the compiler does not
        // report a private one as dead code.
        #[cfg(not(target_family = "wasm"))]
        const _: fn() -> $crate::Descriptor = <$plugin as $crate::Plugin>::describe;
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Exported = $crate::Adapter<$plugin>;
            $crate::bindings::plugin::export_lifecycle!(Exported with_types_in $crate::bindings::plugin);
        };
        $($crate::export_plugin!(@ $interface $plugin);)*
    };
}
