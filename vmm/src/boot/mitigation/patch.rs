//! What is overwritten in a kernel image so that only the chosen steps are left.
//! Pure.

use std::ops::Range;
use trapgate_abi::mitigation::{MAX_SITE, Site, keep};

/// Bytes to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Virtual address of the first.
    pub address: u64,
    /// Instructions that do nothing.
    pub bytes: Vec<u8>,
}

/// Why a table of sites cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// A site's length is 0 or more than [`MAX_SITE`].
    #[error("the patch site at {0:#x} has a wrong length")]
    Length(u64),
    /// A site is not, or not all, executable.
    #[error("the patch site at {0:#x} is outside the kernel's code")]
    Outside(u64),
    /// A site's reason is none that this VMM knows.
    #[error("the patch site at {0:#x} is of no known step")]
    Reason(u64),
    /// Two sites share a byte.
    #[error("the patch sites at {0:#x} and {1:#x} overlap")]
    Overlap(u64, u64),
}

/// What to write over the sites whose reason is not in `kept`. `code` are the
/// kernel's executable addresses. Sites that follow each other become one NOP:
/// no jump goes between them.
///
/// # Errors
/// [`PatchError`], if the table is not one.
pub fn patches(sites: &[Site], kept: u64, code: &[Range<u64>]) -> Result<Vec<Patch>, PatchError> {
    let mut sites = sites.to_vec();
    sites.sort_by_key(|site| site.address);
    let mut dead: Vec<Range<u64>> = Vec::new();
    let mut last: Option<Range<u64>> = None;
    for Site { address, length, keep: reason } in sites {
        if length == 0 || length > MAX_SITE {
            return Err(PatchError::Length(address));
        }
        let end = address.checked_add(length).ok_or(PatchError::Outside(address))?;
        if !code.iter().any(|piece| piece.start <= address && end <= piece.end) {
            return Err(PatchError::Outside(address));
        }
        if reason.count_ones() != 1 || reason & keep::ALL == 0 {
            return Err(PatchError::Reason(address));
        }
        if let Some(before) = last.filter(|before| before.end > address) {
            return Err(PatchError::Overlap(before.start, address));
        }
        last = Some(address..end);
        if reason & kept == 0 {
            match dead.last_mut().filter(|before| before.end == address) {
                Some(before) => before.end = end,
                None => dead.push(address..end),
            }
        }
    }
    let fill = |run: Range<u64>| Patch {
        address: run.start,
        bytes: nothing((run.end - run.start) as usize),
    };
    Ok(dead.into_iter().map(fill).collect())
}

/// One NOP of each length (Intel SDM vol. 2B, "NOP", table 4-12).
const NOPS: [&[u8]; 9] = [
    &[0x90],
    &[0x66, 0x90],
    &[0x0f, 0x1f, 0x00],
    &[0x0f, 0x1f, 0x40, 0x00],
    &[0x0f, 0x1f, 0x44, 0x00, 0x00],
    &[0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
    &[0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00],
    &[0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
    &[0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
];

/// One instruction that does nothing but take `length` bytes: a NOP, or a jump
/// over INT3s.
fn nothing(length: usize) -> Vec<u8> {
    if let Some(nop) = length.checked_sub(1).and_then(|index| NOPS.get(index)) {
        return nop.to_vec();
    }
    let mut bytes = match i8::try_from(length - 2) {
        Ok(distance) => vec![0xeb, distance as u8],
        Err(_) => [&[0xe9], &((length - 5) as u32).to_le_bytes()[..]].concat(),
    };
    bytes.resize(length, 0xcc);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use iced_x86::{Decoder, DecoderOptions, Mnemonic};
    use trapgate_abi::mitigation::Step;

    const CODE: Range<u64> = 0x1000..0x2000;
    const PTI: u64 = Step::Pti.bit();
    const VERW: u64 = Step::Verw.bit();

    fn site(address: u64, length: u64, keep: u64) -> Site {
        Site { address, length, keep }
    }

    fn of(sites: &[Site], kept: u64) -> Result<Vec<(u64, usize)>, PatchError> {
        let patches = patches(sites, kept, &[CODE])?;
        Ok(patches.iter().map(|patch| (patch.address, patch.bytes.len())).collect())
    }

    #[test]
    fn what_is_kept_is_not_touched_and_the_rest_is_one_instruction_a_run() {
        let sites = [site(0x1020, 4, VERW), site(0x1000, 5, PTI), site(0x1005, 11, VERW)];
        assert_eq!(of(&sites, PTI), Ok(vec![(0x1005, 11), (0x1020, 4)]));
        assert_eq!(of(&sites, VERW), Ok(vec![(0x1000, 5)]));
        assert_eq!(of(&sites, 0), Ok(vec![(0x1000, 16), (0x1020, 4)]));
        assert_eq!(of(&sites, PTI | VERW), Ok(vec![]));
    }

    #[test]
    fn a_table_that_is_none_is_refused() {
        assert_eq!(of(&[site(0x1000, 0, PTI)], 0), Err(PatchError::Length(0x1000)));
        assert_eq!(of(&[site(0x1000, MAX_SITE + 1, PTI)], 0), Err(PatchError::Length(0x1000)));
        for address in [0xfff, 0x1ffe, 0x3000, u64::MAX - 1] {
            assert_eq!(of(&[site(address, 3, PTI)], 0), Err(PatchError::Outside(address)));
        }
        for reason in [0, PTI | VERW, 1 << 63] {
            assert_eq!(of(&[site(0x1000, 3, reason)], 0), Err(PatchError::Reason(0x1000)));
        }
        let shared = [site(0x1010, 3, PTI), site(0x100e, 3, VERW)];
        assert_eq!(of(&shared, PTI), Err(PatchError::Overlap(0x100e, 0x1010)));
        let same = [site(0x1010, 3, PTI), site(0x1010, 3, PTI)];
        assert_eq!(of(&same, PTI), Err(PatchError::Overlap(0x1010, 0x1010)));
    }

    #[test]
    fn every_length_is_one_instruction_that_ends_where_the_run_ends() {
        for length in 1..300 {
            let bytes = nothing(length);
            assert_eq!(bytes.len(), length);
            let instruction = Decoder::new(64, &bytes, DecoderOptions::NONE).decode();
            if instruction.mnemonic() == Mnemonic::Jmp {
                assert_eq!(instruction.near_branch_target(), length as u64);
                assert!(bytes[instruction.len()..].iter().all(|byte| *byte == 0xcc));
            } else {
                assert_eq!(instruction.mnemonic(), Mnemonic::Nop, "{length}");
                assert_eq!(instruction.len(), length);
            }
        }
    }
}
