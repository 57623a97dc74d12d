//! What the next instruction does to single steps. Pure: bytes in, an enum out.
//!
//! A single step is an instruction with RFLAGS.TF set (Intel SDM vol. 3,
//! 18.3.1.4). Those that load flags, or put them where the guest could see
//! them, need care. Called by [`super::way`] and [`super::Stepper`].

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic};

/// Bytes of the longest instruction.
pub(super) const LONGEST: usize = 15;

/// An instruction, as far as steps have to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One step is one instruction.
    Plain,
    /// A repeated string instruction: by CPU, a step is one iteration or all
    /// of them.
    Repeated,
    /// RDTSC and RDTSCP.
    ReadsCounter,
    /// LFENCE: where a software KVM interprets ring 3, a step goes on to the
    /// end of the next instruction.
    Fence,
    /// PUSHF: puts TF onto the stack.
    PushesFlags,
    /// SYSRET: goes on at RCX, or at ECX.
    Sysret {
        /// To 64-bit code.
        to_64: bool,
    },
    /// IRET: pops where it goes on, in words of so many bytes.
    Iret {
        /// 2, 4 or 8.
        word: u64,
    },
}

/// Its kind and its length; `None` if the bytes are none, or not all of one.
pub(super) fn decode(bytes: &[u8], long_mode: bool) -> Option<(Kind, u64)> {
    let bits = if long_mode { 64 } else { 32 };
    let instruction = Decoder::new(bits, bytes, DecoderOptions::NONE).decode();
    (!instruction.is_invalid()).then(|| (kind(&instruction), instruction.len() as u64))
}

fn kind(instruction: &Instruction) -> Kind {
    match instruction.mnemonic() {
        Mnemonic::Rdtsc | Mnemonic::Rdtscp => Kind::ReadsCounter,
        Mnemonic::Lfence => Kind::Fence,
        Mnemonic::Pushf | Mnemonic::Pushfd | Mnemonic::Pushfq => Kind::PushesFlags,
        Mnemonic::Sysret => Kind::Sysret { to_64: false },
        Mnemonic::Sysretq => Kind::Sysret { to_64: true },
        Mnemonic::Iret => Kind::Iret { word: 2 },
        Mnemonic::Iretd => Kind::Iret { word: 4 },
        Mnemonic::Iretq => Kind::Iret { word: 8 },
        _ if instruction.has_rep_prefix() || instruction.has_repne_prefix() => Kind::Repeated,
        _ => Kind::Plain,
    }
}

/// Where the first jump among `bytes`, which stand at `address`, goes.
pub(super) fn first_jump(bytes: &[u8], address: u64) -> Option<u64> {
    let decoder = Decoder::with_ip(64, bytes, address, DecoderOptions::NONE);
    let jump = decoder.into_iter().find(|instruction| instruction.mnemonic() == Mnemonic::Jmp)?;
    Some(jump.near_branch_target()).filter(|&target| target != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_that_loads_or_shows_flags_is_known_in_both_modes() {
        let cases: &[(&[u8], Option<Kind>, Option<Kind>)] = &[
            // A door's flags are seen to where it leads.
            (&[0x0f, 0x05], Some(Kind::Plain), Some(Kind::Plain)),
            (&[0xcd, 0x80], Some(Kind::Plain), Some(Kind::Plain)),
            (&[0x9c], Some(Kind::PushesFlags), Some(Kind::PushesFlags)),
            (&[0x66, 0x9c], Some(Kind::PushesFlags), Some(Kind::PushesFlags)),
            (&[0x0f, 0x31], Some(Kind::ReadsCounter), Some(Kind::ReadsCounter)),
            (&[0x0f, 0x01, 0xf9], Some(Kind::ReadsCounter), Some(Kind::ReadsCounter)),
            (&[0xcf], Some(Kind::Iret { word: 4 }), Some(Kind::Iret { word: 4 })),
            (&[0x66, 0xcf], Some(Kind::Iret { word: 2 }), Some(Kind::Iret { word: 2 })),
            (&[0xf3, 0xa4], Some(Kind::Repeated), Some(Kind::Repeated)),
            (&[0xf2, 0xae], Some(Kind::Repeated), Some(Kind::Repeated)),
            (&[0x0f, 0xae, 0xe8], Some(Kind::Fence), Some(Kind::Fence)),
            (&[0x90], Some(Kind::Plain), Some(Kind::Plain)),
            (&[0x9d], Some(Kind::Plain), Some(Kind::Plain)),
            // REX.W, which is DEC EAX in 32-bit code.
            (&[0x48, 0x0f, 0x07], Some(Kind::Sysret { to_64: true }), Some(Kind::Plain)),
            (&[0x48, 0xcf], Some(Kind::Iret { word: 8 }), Some(Kind::Plain)),
            (&[0x0f], None, None),
            (&[], None, None),
        ];
        for (bytes, long, compat) in cases {
            assert_eq!(decode(bytes, true).map(|(kind, _)| kind), *long, "{bytes:x?}, 64-bit");
            assert_eq!(decode(bytes, false).map(|(kind, _)| kind), *compat, "{bytes:x?}, 32-bit");
        }
        assert_eq!(decode(&[0x0f, 0x07], true), Some((Kind::Sysret { to_64: false }, 2)));
        assert_eq!(decode(&[0x48, 0xcf, 0x90], true), Some((Kind::Iret { word: 8 }, 2)));
    }

    #[test]
    fn a_stubs_jump_is_found_behind_its_pushes() {
        // push -1; push 6; jmp +16
        let stub = [0x6a, 0xff, 0x6a, 6, 0xeb, 16, 0xcc];
        assert_eq!(first_jump(&stub, 0x1000), Some(0x1000 + 6 + 16));
        assert_eq!(first_jump(&stub[..4], 0x1000), None);
    }
}
