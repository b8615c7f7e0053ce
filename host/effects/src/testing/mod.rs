//! Stand-ins for the tests.

pub(crate) mod mock_server;
