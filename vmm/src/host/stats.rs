//! What was asked for.

use std::collections::BTreeMap;
use std::time::Duration;
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
    /// What the longest service took but for waiting, in microseconds: no service
    /// waits for anybody. Only of a detailed run ([`crate::Builder::detailed_stats`]).
    pub longest_us: u64,
}

impl HostCallStats {
    /// Counts a request.
    pub fn count(&mut self, request: &Request) {
        *self.by_operation.entry(request.name()).or_default() += 1;
    }

    /// Notes what the service of one took.
    pub(super) fn took(&mut self, request: &Request, time: Duration) {
        if !matches!(request, Request::Wait { .. }) {
            self.longest_us = self.longest_us.max(time.as_micros() as u64);
        }
    }
}
