//! The x87 registers as FSAVE has them, which i386's frames have in front of what FXSAVE
//! has (Intel SDM vol. 1, 8.1.10 and 10.5.1). Pure.

use trapgate_uapi::sigcontext::FregsState;

/// What FXSAVE has, with 64-bit pointers.
pub type Fxsave = [u8; 512];

/// Where the registers are in it, 16 bytes each.
const ST0: usize = 32;
/// Bytes of a register, without padding.
const REGISTER: usize = 10;

fn word(from: &Fxsave, at: usize) -> u16 {
    u16::from_le_bytes([from[at], from[at + 1]])
}

fn double_word(from: &Fxsave, at: usize) -> u32 {
    u32::from(word(from, at + 2)) << 16 | u32::from(word(from, at))
}

/// As FSAVE has it. Where code and data were is not known by their segments: the ones that
/// the program has now are told.
pub fn from_fxsave(from: &Fxsave, cs: u16, ds: u16) -> FregsState {
    let (cwd, swd) = (word(from, 0), word(from, 2));
    let mut st_bytes = [0; 8 * REGISTER];
    for (to, register) in st_bytes.chunks_exact_mut(REGISTER).zip(from[ST0..].chunks_exact(16)) {
        to.copy_from_slice(&register[..REGISTER]);
    }
    let mut st_space = [0; 20];
    for (to, bytes) in st_space.iter_mut().zip(st_bytes.as_chunks::<4>().0) {
        *to = u32::from_le_bytes(*bytes);
    }
    FregsState {
        cwd: u32::from(cwd) | 0xffff_0000,
        swd: u32::from(swd) | 0xffff_0000,
        twd: tags(from, swd) | 0xffff_0000,
        fip: double_word(from, 8),
        fcs: cs.into(),
        foo: double_word(from, 16),
        fos: u32::from(ds) | 0xffff_0000,
        st_space,
        status: swd,
        magic: 0,
    }
}

/// The x87 registers that FSAVE had, where FXSAVE has them.
pub fn into_fxsave(from: &FregsState, to: &mut Fxsave) {
    let mut put = |at: usize, bytes: &[u8]| to[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &(from.cwd as u16).to_le_bytes());
    put(2, &(from.swd as u16).to_le_bytes());
    put(4, &u16::from(used(from.twd as u16)).to_le_bytes());
    put(6, &((from.fcs >> 16) as u16).to_le_bytes());
    put(8, &u64::from(from.fip).to_le_bytes());
    put(16, &u64::from(from.foo).to_le_bytes());
    let mut st_bytes = [0; 8 * REGISTER];
    for (bytes, word) in st_bytes.as_chunks_mut::<4>().0.iter_mut().zip(from.st_space) {
        *bytes = word.to_le_bytes();
    }
    for (index, register) in st_bytes.chunks_exact(REGISTER).enumerate() {
        put(ST0 + 16 * index, register);
    }
}

/// FSAVE's tags, two bits a register: valid, zero, special, empty.
fn tags(from: &Fxsave, swd: u16) -> u32 {
    const ZERO: u32 = 1;
    const SPECIAL: u32 = 2;
    const EMPTY: u32 = 3;
    let top = usize::from(swd >> 11 & 7);
    (0..8).fold(0, |tags, number| {
        // Tags are by physical register, values from the stack's top on.
        let at = ST0 + 16 * ((number + 8 - top) % 8);
        let significand = [0, 2, 4, 6].map(|offset| word(from, at + offset));
        let tag = match word(from, at + 8) & 0x7fff {
            _ if from[4] & 1 << number == 0 => EMPTY,
            0x7fff => SPECIAL,
            0 if significand == [0; 4] => ZERO,
            0 => SPECIAL,
            _ if significand[3] & 0x8000 != 0 => 0,
            _ => SPECIAL,
        };
        tags | tag << (2 * number)
    })
}

/// FXSAVE's: a bit for each register that is not empty.
fn used(tags: u16) -> u8 {
    (0..8).fold(0, |used, number| match tags >> (2 * number) & 3 {
        3 => used,
        _ => used | 1 << number,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1.0, 0.0 and an infinity from the top of the stack on, all others empty.
    fn three() -> Fxsave {
        let mut fx = [0; 512];
        let one = [0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f];
        let infinity = [0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x7f];
        fx[0..6].copy_from_slice(&[0x7f, 3, 0, 5 << 3, 0b1110_0000, 0]);
        fx[32..42].copy_from_slice(&one);
        fx[64..74].copy_from_slice(&infinity);
        fx[8..12].copy_from_slice(&0x0804_9000u32.to_le_bytes());
        fx
    }

    #[test]
    fn tags_say_what_a_register_holds() {
        let fregs = from_fxsave(&three(), 0x23, 0x2b);
        // Physical registers 5, 6 and 7: valid, zero, special.
        assert_eq!(fregs.twd, 0xffff_0000 | 0b10_01_00_11_11_11_11_11);
        assert_eq!((fregs.cwd, fregs.swd), (0xffff_037f, 0xffff_2800));
        assert_eq!((fregs.fip, fregs.fcs, fregs.fos), (0x0804_9000, 0x23, 0xffff_002b));
        assert_eq!(fregs.st_space[..3], [0, 0x8000_0000, 0x3fff]);
    }

    #[test]
    fn a_way_there_and_back_changes_nothing() {
        let fx = three();
        let mut back = [0; 512];
        into_fxsave(&from_fxsave(&fx, 0, 0), &mut back);
        assert_eq!(back, fx);
    }
}
