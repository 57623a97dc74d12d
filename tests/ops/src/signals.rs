//! Signals.

use crate::Operation;
use crate::measure::calls;
use crate::sys;

pub(crate) const OPERATIONS: &[Operation] = &[
    // Sent, handled, returned from.
    ("signal", |repeats| {
        sys::check("sigaction", sys::handle_usr1())?;
        let me = sys::getpid();
        calls(repeats, 200, || sys::tgkill(me, me, libc::SIGUSR1))
    }),
];
