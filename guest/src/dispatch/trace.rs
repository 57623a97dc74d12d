//! What the call of a handler does before and behind it if the run is traced
//! (`row::call`): a record of the call's beginning, and one of its end.

use trapgate_abi::PtRegs;
use trapgate_abi::trace::RecordId;
use trapgate_kernel::sys::traced;

/// A call of the x86-64 or x32 ABI begins; `way` are the bits of a
/// `trapgate_abi::trace::Way`. The number of its record.
pub(super) extern "C" fn entered_64(regs: &PtRegs, way: u64) -> u64 {
    traced::entered_64(regs, way).0
}

/// It ends, with its result in place.
pub(super) extern "C" fn left_64(regs: &PtRegs, entry: u64) {
    traced::left_64(regs, RecordId(entry));
}

/// A call of the i386 ABI begins.
pub(super) extern "C" fn entered_32(regs: &PtRegs, way: u64) -> u64 {
    traced::entered_32(regs, way).0
}

/// It ends.
pub(super) extern "C" fn left_32(regs: &PtRegs, entry: u64) {
    traced::left_32(regs, RecordId(entry));
}
