//! What was asked for.

use std::collections::BTreeMap;
use trapgate_abi::hypercall::Request;

/// Requests by operation.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct HostCallStats {
    /// Requests served, by name.
    pub by_operation: BTreeMap<&'static str, u64>,
    /// Requests that the policy refused.
    pub refused: u64,
}

impl HostCallStats {
    /// Counts a request.
    pub fn count(&mut self, request: &Request) {
        *self.by_operation.entry(request.name()).or_default() += 1;
    }
}
