//! The stamps of a door ([`trapgate_abi::stamps`]): where the time of a call goes.
//! For `trapgate bench`; only `syscall64` has them, in a second copy of its door.
//!
//! They go with every mitigation step: the first comes when the kernel's page
//! tables are there, the last before ring 3's are, so the buffer is always mapped.

/// One stamp, by the field of `Record` that it fills in.
macro_rules! stamped {
    // On arrival: gs = this CPU's block; rsp is nobody's; all else is the user's,
    // and so it is at the end, but for the flags. A call begins: the next record is
    // its own, if there is one.
    (entered) => {
        "mov gs:[{stamp_rax}], rax
         mov gs:[{stamp_rdx}], rdx
         lfence
         rdtsc                              # eax = the time
         lfence
         dec qword ptr gs:[{records_left}]
         js 7f
         add qword ptr gs:[{record}], {record_size}
         7: mov rdx, gs:[{record}]          # rdx = this call's record
         mov [rdx + {entered}], eax
         mov rax, gs:[{stamp_rax}]          # rax = the user's: the number
         mov [rdx + {number}], eax
         mov [rdx + {user}], edi
         mov rdx, gs:[{stamp_rdx}]          # rdx = the user's"
    };
    // On arrival: the frame is complete. Loses rax, rdx. r12, which the dispatch
    // keeps, is this call's record from here on.
    (framed) => {
        "lfence
         rdtsc
         lfence
         mov r12, gs:[{record}]
         mov [r12 + {framed}], eax"
    };
    // On arrival: back from the dispatch. Loses rax, rdx.
    (settled) => {
        "lfence
         rdtsc
         lfence
         mov [r12 + {settled}], eax"
    };
    // On arrival: registers as ring 3 gets them, but rsp, below which there is
    // room; the kernel's page tables. Loses the flags.
    (leaving) => {
        "push rax
         push rdx
         lfence
         rdtsc
         lfence
         mov rdx, gs:[{record}]
         mov [rdx + {leaving}], eax
         pop rdx
         pop rax"
    };
}
pub(super) use stamped;
