//! Finds out from the type of a failure why a call ended. No text that a plugin wrote decides it.

use crate::component_type;
use crate::error::{Error, Quota, TrapKind};
use crate::limits::Limits;
use crate::output::line;
use crate::store_state::{LimitExceeded, StoreState};
use wasmtime::component::ResourceTableError;
use wasmtime::{OutOfMemory, PoolConcurrencyLimitError, Trap};
use wasmtime_wasi::I32Exit;

/// A failure of a call, by the phase: the same type of error has another meaning while a guest starts.
pub(crate) enum CallFailure {
    /// Instantiation failed.
    Starting(wasmtime::Error),
    /// The functions have other types than those of the contract.
    WrongTypes(wasmtime::Error),
    /// The function failed, or its result could not be read.
    Running(wasmtime::Error),
}

/// The error of a failed call.
///
/// wasmtime returns one of three: a [`Trap`]; an error of a host function, which is a [`LimitExceeded`], an [`I32Exit`] or an
/// error of WASI; or an error of lifting, which reads the result out of the guest's memory. Lifting fails with a message
/// (`bail!("invalid option discriminant")`), a standard decoding error, or `HostcallFuelExhausted`. The last type is private to
/// wasmtime, so every error that is neither of the first two counts as it. Tests check this for results and for arguments of
/// the log.
pub(crate) fn classify(
    call: &'static str,
    failure: &CallFailure,
    state: &StoreState,
    limits: &Limits,
) -> Error {
    let (starting, error) = match failure {
        CallFailure::Starting(error) => (true, error),
        CallFailure::Running(error) => (false, error),
        CallFailure::WrongTypes(error) => return component_type::wrong_types(error),
    };
    let stderr = state.last_lines(limits);
    let quota = |which: Quota| Error::Quota { call, which, limit: which.of(limits) };
    let message = || line(&error.root_cause().to_string());

    if let Some(exceeded) = error.downcast_ref::<LimitExceeded>() {
        return match *exceeded {
            LimitExceeded::WallTime => Error::Timeout { call, limit: limits.wall_time, stderr },
            LimitExceeded::Quota(which) => quota(which),
        };
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => return Error::OutOfFuel { call, limit: limits.fuel, stderr },
        Some(Trap::Interrupt) => return Error::CpuTime { call, limit: limits.cpu_time, stderr },
        _ => {}
    }
    // The guest ended by itself. If the sandbox refused it memory before, that is the cause.
    if state.meter.memory_denied {
        return Error::Memory { call, limit: limits.memory_bytes, stderr };
    }
    if state.meter.table_denied {
        return quota(Quota::TableElements);
    }
    let malformed = || Error::Malformed { call, place: String::new(), message: message() };
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return trap_kind(*trap).map_or_else(malformed, |trap| Error::Trap { call, trap, stderr });
    }
    if let Some(I32Exit(code)) = error.downcast_ref::<I32Exit>() {
        return Error::Exit { call, code: *code, stderr };
    }
    match error.downcast_ref::<ResourceTableError>() {
        Some(ResourceTableError::Full) => return quota(Quota::Handles),
        Some(_) => return malformed(),
        None => {}
    }
    if error.is::<PoolConcurrencyLimitError>() || error.is::<OutOfMemory>() {
        return Error::Host { call, message: message() };
    }
    if starting {
        return Error::TooComplex { message: message() };
    }
    if is_decoding_error(error) { malformed() } else { quota(Quota::TransferBytes) }
}

fn is_decoding_error(error: &wasmtime::Error) -> bool {
    error.is::<String>()
        || error.is::<&'static str>()
        || error.is::<std::str::Utf8Error>()
        || error.is::<std::char::DecodeUtf16Error>()
        || error.is::<std::num::TryFromIntError>()
}

/// None for the traps that mean that a value is not valid by the component model.
fn trap_kind(trap: Trap) -> Option<TrapKind> {
    Some(match trap {
        Trap::UnreachableCodeReached => TrapKind::Unreachable,
        Trap::StackOverflow => TrapKind::StackOverflow,
        Trap::MemoryOutOfBounds => TrapKind::MemoryOutOfBounds,
        Trap::IntegerOverflow | Trap::IntegerDivisionByZero | Trap::BadConversionToInteger => {
            TrapKind::Arithmetic
        }
        Trap::TableOutOfBounds | Trap::IndirectCallToNull | Trap::BadSignature => TrapKind::BadCall,
        Trap::AsyncDeadlock => TrapKind::Deadlock,
        Trap::InvalidChar
        | Trap::InvalidDiscriminant
        | Trap::StringOutOfBounds
        | Trap::ListOutOfBounds
        | Trap::UnalignedPointer => return None,
        other => TrapKind::Other(other.to_string()),
    })
}
