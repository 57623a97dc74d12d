//! What is in memory before the kernel does a job: the kernel, room for the
//! results, and what the job needs besides. No program.

use super::page_tables::{Frames, PageTables};
use super::{Builder, Prepared, kernel_flags};
use crate::boot::kernel::Kernel;
use crate::boot::mitigation::Hardening;
use crate::machine::memory::GuestRam;
use crate::{ByteSize, Error};
use trapgate_abi::boot_info::{BootInfo, Range};
use trapgate_abi::job::{DEVICE, Request, kind};
use trapgate_abi::layout::{DIRECT_MAP, HIGH_RAM_START, JOB, PAGE_SIZE, cpus_end};
use trapgate_abi::x86::pte;

/// Puts kernel and tables into memory, for `request`, in which `results` is
/// filled in. Answers where that is, too.
///
/// # Errors
/// [`Error::MemoryTooSmall`], or [`Error::Kernel`].
pub fn prepare_job(
    ram: &GuestRam,
    kernel: &[u8],
    request: Request,
    features: u64,
    cpus: u64,
    log_level: u64,
) -> Result<(Prepared, Request), Error> {
    let too_small = || Error::MemoryTooSmall {
        name: "a measurement".to_owned(),
        given: ByteSize(ram.size()),
        needed: ByteSize(crate::machine::memory::LEAST + request.results_size()),
    };
    let kernel = Kernel::load(kernel, ram, &Hardening::NONE)?;
    let (low_end, high_end) = ram.ends();
    let frames = Frames::new(kernel.end().max(cpus_end(cpus)), low_end);
    let mut builder =
        Builder { ram, cpus, frames, regions: vec![], data_page: None, global: pte::G };
    let results = builder.frames.take(request.results_size()).ok_or_else(too_small)?;
    let request = Request { results, ..request };
    let mut tables = PageTables::new(ram, &mut builder.frames).ok_or_else(too_small)?;
    builder
        .kernel(&mut tables, &kernel, Range::ZERO)
        .and_then(|()| match request.kind {
            kind::LEGACY => builder.identity(&mut tables, &kernel),
            kind::EXITS => builder.device(&mut tables),
            _ => Some(()),
        })
        .ok_or_else(too_small)?;
    let used = builder.frames.next();
    let info = BootInfo {
        features,
        ram_size: ram.size(),
        free: [Range { start: used, end: low_end }, Range { start: HIGH_RAM_START, end: high_end }],
        page_table: tables.root(),
        job: request,
        log_level,
        ..BootInfo::NONE
    };
    let prepared = Prepared {
        kernel,
        page_table: tables.root(),
        load_bias: None,
        used,
        stamps: None,
        trace_rings: None,
        data_page: None,
        info,
    };
    Ok((prepared, request))
}

impl Builder<'_> {
    /// The kernel's image and the job's page, where their physical addresses
    /// are: paging can only end on such a page.
    fn identity(&mut self, tables: &mut PageTables<'_>, kernel: &Kernel) -> Option<()> {
        for piece in kernel.image() {
            let flags = kernel_flags(self.global, piece.write, piece.exec);
            let length = piece.end - piece.start;
            tables.map(piece.start, piece.start, length, flags, false, &mut self.frames)?;
        }
        let data = kernel_flags(self.global, true, false);
        tables.map(JOB, JOB, PAGE_SIZE, data, false, &mut self.frames)
    }

    /// A page of what is no RAM, in the direct map.
    fn device(&mut self, tables: &mut PageTables<'_>) -> Option<()> {
        let data = kernel_flags(self.global, true, false);
        tables.map(DIRECT_MAP + DEVICE, DEVICE, PAGE_SIZE, data, false, &mut self.frames)
    }
}
